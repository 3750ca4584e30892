"""What a task looks at on its machine before it starts its rank's process, and what is found.

This is part of the barrier stage itself: only so are exactly those executors looked at that will
train, and it costs milliseconds. What the tasks find travels with the message by which they meet
anyway, so that every task knows what all have found, and the error names all machines at once.
TensorFlow is not imported for it. A barrier stage of its own (`looking`, a fraction of a second)
looks once before, so that nobody waits for a scratch table or a scan to be told of it; its tasks
do not meet, which alone would take a second, so it says nothing of the ports between them.

Equal on all machines must be: sparkmine, TensorFlow, Keras and Horovod (else the ranks' networks or
their reductions differ) and the first number of NumPy's version (its arrays are pickled). That
Python is the same, to the second number, Spark itself checks before any of our code runs.
"""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import sparkmine
from sparkmine.errors import (
    ConfigError,
    ExecutorsDifferError,
    GpuMissingError,
    PathNotSharedError,
)
from sparkmine.train import network
from sparkmine.train.folders import writing

if TYPE_CHECKING:
    from pyspark import TaskContext

_PACKAGES = ("tensorflow", "keras", "horovod", "numpy")
# A network file system may show a new file late.
_APPEARS_SECONDS = 3.0

Finding = tuple[str, str]  # the error's code, and what is wrong


@dataclass(frozen=True, kw_only=True)
class Expected:
    """What every task must find.

    `mark` is a file that the driver wrote, into the folder of the setting that `marks` names;
    `data` are data files that the driver has seen.
    """

    versions: dict[str, str]
    gpus: int
    interface: str | None
    mark: str | None
    marks: str = "checkpoint"
    data: tuple[str, ...] = ()


def installed() -> dict[str, str]:
    """Return what must be equal on driver and executors, by package, without what is missing."""
    found = {"sparkmine": sparkmine.__version__}
    for name in _PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            found[name] = importlib.metadata.version(name)
    if "numpy" in found:
        found["numpy"] = found["numpy"].split(".")[0]
    if "horovod" in found and not _built_for_tensorflow():
        found["horovod"] += " built without TensorFlow"
    return found


@contextlib.contextmanager
def marked(folder: str | None, setting: str = "checkpoint") -> Iterator[str | None]:
    """Write a file into `folder`, which `setting` names, for the tasks to find; remove it
    afterwards.

    Raises:
        ConfigError: the driver itself cannot write there.
    """
    if folder is None:
        yield None
        return
    mark = Path(folder) / f".sparkmine-probe-{secrets.token_hex(8)}"
    with writing(setting, folder):
        mark.parent.mkdir(parents=True, exist_ok=True)
        mark.touch()
    try:
        yield str(mark)
    finally:
        mark.unlink(missing_ok=True)


def interface(expected: Expected) -> str | None:
    """Return the network interface that the call or this executor's environment sets, or None."""
    return expected.interface or os.environ.get("HOROVOD_GLOO_IFACE") or None


def look(expected: Expected, gpus: Sequence[str]) -> list[Finding]:
    """Return what is wrong on this machine for a task that was given the GPU addresses `gpus`."""
    found = _different(expected.versions, installed())
    if len(gpus) < expected.gpus:
        found.append(
            (GpuMissingError.code, f"{len(gpus)} of {expected.gpus} GPU addresses were given")
        )
    name, present = interface(expected), network.addresses()
    if name is not None and name not in present:
        text = f"there is no network interface {name} with an address, only {', '.join(present)}"
        found.append((ConfigError.code, text))
    if expected.mark is not None:
        found += _unshared(Path(expected.mark), expected.marks)
    missing = next((file for file in expected.data if not _appears(Path(file))), None)
    if missing is not None:
        found.append((PathNotSharedError.code, f"there is no data file {missing}"))
    return found


def looking(expected: Expected) -> Callable[[object], Iterator[tuple[str, list[Finding]]]]:
    """Return what tasks run that only look: each gives its host and its findings."""

    def here(_: object) -> Iterator[tuple[str, list[Finding]]]:
        from pyspark import TaskContext

        yield socket.gethostname(), look(expected, addresses(TaskContext.get()))

    return here


def addresses(context: TaskContext | None) -> list[str]:
    """Return the addresses of the GPUs that Spark gave a task."""
    resources = {} if context is None else context.resources()
    return list(resources["gpu"].addresses) if "gpu" in resources else []


def summary(by_host: Sequence[tuple[str, Sequence[Finding]]]) -> Finding | None:
    """Return what all tasks have found as one finding that names the hosts, or None."""
    hosts: dict[Finding, dict[str, None]] = {}
    for host, findings in by_host:
        for code, text in findings:
            hosts.setdefault((code, text), {})[host] = None
    if not hosts:
        return None
    first = next(code for code, _ in hosts)
    told = [f"on {', '.join(on)}: {text}" for (code, text), on in hosts.items() if code == first]
    return first, f"{'; '.join(told)}; {_ADVICE[first]}"


_ADVICE = {
    ExecutorsDifferError.code: "give all machines the same environment (requirements.lock)",
    GpuMissingError.code: "see spark.executor.resource.gpu.* and spark.worker.resource.gpu.*",
    ConfigError.code: "name one that every executor has in network_interface=, or leave it out",
    PathNotSharedError.code: "use a folder on a file system that every machine mounts",
}


def _different(wanted: dict[str, str], found: dict[str, str]) -> list[Finding]:
    unequal = [name for name in {**wanted, **found} if wanted.get(name) != found.get(name)]
    if not unequal:
        return []
    texts = [
        f"{name} {found.get(name, 'is missing')} (driver: {wanted.get(name, 'missing')})"
        for name in unequal
    ]
    return [(ExecutorsDifferError.code, ", ".join(texts))]


def _unshared(mark: Path, setting: str) -> list[Finding]:
    """Look for the driver's file, and write one: any task may be rank 0 of the next try."""
    if not _appears(mark):
        text = f"{setting}={mark.parent} is not the driver's: a file that it wrote is not there"
        return [(PathNotSharedError.code, text)]
    mine = mark.with_name(f"{mark.name}-{secrets.token_hex(4)}")
    try:
        mine.touch()
        mine.unlink()
    except OSError as error:
        text = f"{setting}={mark.parent} cannot be written ({error.strerror})"
        return [(PathNotSharedError.code, text)]
    return []


def _appears(file: Path) -> bool:
    deadline = time.monotonic() + _APPEARS_SECONDS
    while not file.exists():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def _built_for_tensorflow() -> bool:
    found = importlib.util.find_spec("horovod")
    places = [] if found is None else found.submodule_search_locations or []
    return any(True for place in places for _ in Path(place).glob("tensorflow/mpi_lib*.so"))
