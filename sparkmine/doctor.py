"""Checks of this machine, and of the cluster that a session has, each with one line that says what
to do."""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from sparkmine.errors import SparkmineError
from sparkmine.sessions import check_java, session

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PINNED = {"tensorflow": "2.18.1", "horovod": "0.28.1", "keras": "3.15", "pyspark": "4.2.0"}
MINIMUM_DISK_GIB = 5


@dataclass(frozen=True)
class Check:
    """One result; `text` says what was found or what to do."""

    name: str
    ok: bool
    text: str


def check_all(ranks: int = 2, warehouse: str | None = None) -> Iterator[Check]:
    """All checks, one after the other; those that need Spark come last.

    Args:
        ranks: Training ranks that must fit.
        warehouse: A folder that every executor must see and write.
    """
    yield _java()
    yield from (_package(name, wanted) for name, wanted in PINNED.items())
    yield _disk()
    yield from _spark(ranks, warehouse)


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


def _spark(ranks: int, warehouse: str | None) -> Iterator[Check]:
    from sparkmine.train.preflight import check_cluster, count_slots

    with tempfile.TemporaryDirectory() as folder:
        try:
            spark = session("sparkmine doctor", log_file=Path(folder) / "spark.log")
        except SparkmineError as error:
            yield Check("Spark with Delta", False, str(error))
            return
        except Exception as error:
            log = Path(folder) / "spark.log"  # only an embedded session has one
            tail = log.read_text(errors="replace").splitlines()[-1:] if log.exists() else []
            yield Check("Spark with Delta", False, f"does not start: {error}; {' '.join(tail)}")
            return
        master = spark.sparkContext.master
        yield Check("Spark with Delta", True, f"{spark.version}, master {master}")
        try:
            # First, because it waits: the executors of a cluster register one after the other.
            check_cluster(spark, ranks=ranks)
        except SparkmineError as error:
            training = Check("slots for training", False, str(error))
        else:
            training = Check("slots for training", True, f"{count_slots(spark)} for {ranks} ranks")
        yield _workers(spark, warehouse)
        yield training


def _workers(spark: SparkSession, warehouse: str | None) -> Check:
    """Whether tasks find what the driver has: in as many tasks as can run at once."""
    from sparkmine.train import probe
    from sparkmine.train.preflight import count_slots

    name = "Python of the workers"
    try:
        with probe.marked(warehouse, "warehouse") as mark:
            expected = probe.Expected(
                versions=probe.installed(), gpus=0, interface=None, mark=mark, marks="warehouse"
            )
            tasks = max(count_slots(spark), 1)
            partitions = spark.sparkContext.parallelize(range(tasks), tasks)
            looked = partitions.mapPartitions(probe.looking(expected)).collect()
    except SparkmineError as error:
        return Check(name, False, str(error))
    except Exception as error:
        first = str(error).splitlines()[0]
        return Check(
            name,
            False,
            f"does not start ({first}); set PYSPARK_PYTHON to this environment's python",
        )
    found = probe.summary(looked)
    if found is not None:
        return Check(name, False, f"{found[0]}: {found[1]}")
    hosts = sorted({host for host, _ in looked})
    return Check(name, True, f"as here, on {', '.join(hosts)}")
