"""Checks of this machine, each with one line that says what to do."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sparkmine.errors import SparkmineError
from sparkmine.sessions import check_java, session

PINNED = {"tensorflow": "2.18.1", "horovod": "0.28.1", "keras": "3.15", "pyspark": "4.2.0"}
MINIMUM_DISK_GIB = 5


@dataclass(frozen=True)
class Check:
    """One result; `text` says what was found or what to do."""

    name: str
    ok: bool
    text: str


def check_all(ranks: int = 2) -> Iterator[Check]:
    """All checks, one after the other; those that need Spark come last."""
    yield _java()
    yield from (_package(name, wanted) for name, wanted in PINNED.items())
    yield _disk()
    yield from _spark(ranks)


def _java() -> Check:
    try:
        return Check("Java", True, f"version {check_java()}")
    except SparkmineError as error:
        return Check("Java", False, str(error))


def _package(name: str, wanted: str) -> Check:
    """Versions only: importing TensorFlow takes ten seconds."""
    try:
        found = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return Check(name, False, "is not installed; run `make install`")
    if not found.startswith(wanted):
        return Check(name, False, f"version {found}, tested is {wanted}; run `make install`")
    if name == "horovod":
        origin = importlib.metadata.distribution("horovod")
        built = any("mpi_lib" in str(file) for file in origin.files or [])
        if not built:
            return Check(
                name,
                False,
                "is built without TensorFlow; install it again with "
                "HOROVOD_WITH_TENSORFLOW=1, or run `make install`",
            )
    return Check(name, True, f"version {found}")


def _disk() -> Check:
    folder = Path(os.environ.get("SPARK_LOCAL_DIRS", tempfile.gettempdir()).split(",")[0])
    free = shutil.disk_usage(folder).free / (1 << 30)
    text = f"{free:.0f} GiB free in {folder}"
    if free < MINIMUM_DISK_GIB:
        return Check(
            "disk",
            False,
            f"{text}; shuffles want {MINIMUM_DISK_GIB} GiB: set SPARK_LOCAL_DIRS to a larger disk",
        )
    return Check("disk", True, text)


def _spark(ranks: int) -> Iterator[Check]:
    from sparkmine.train.preflight import count_slots

    with tempfile.TemporaryDirectory() as folder:
        try:
            spark = session("sparkmine doctor", log_file=Path(folder) / "spark.log")
        except SparkmineError as error:
            yield Check("Spark with Delta", False, str(error))
            return
        except Exception as error:
            tail = (Path(folder) / "spark.log").read_text(errors="replace").splitlines()[-1:]
            yield Check("Spark with Delta", False, f"does not start: {error}; {' '.join(tail)}")
            return
        yield Check(
            "Spark with Delta", True, f"{spark.version}, master {spark.sparkContext.master}"
        )

        def version(_: object) -> list[str]:
            return [".".join(map(str, sys.version_info[:3]))]

        try:
            found = spark.sparkContext.parallelize([0], 1).mapPartitions(version).collect()[0]
        except Exception as error:
            first = str(error).splitlines()[0]
            yield Check(
                "Python of the workers",
                False,
                f"does not start ({first}); set PYSPARK_PYTHON to this environment's python",
            )
        else:
            mine = ".".join(map(str, sys.version_info[:3]))
            yield Check(
                "Python of the workers",
                found == mine,
                found
                if found == mine
                else f"is {found}, the driver's {mine}; set PYSPARK_PYTHON to the same",
            )
        slots = count_slots(spark)
        yield Check(
            "slots for training",
            slots >= ranks,
            f"{slots} for {ranks} ranks"
            if slots >= ranks
            else f"{slots} for {ranks} ranks; set `ranks:` to {slots}, or add executors or cores",
        )
