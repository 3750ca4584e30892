"""A real Spark standalone cluster on loopback, from pip's pyspark, and a way to submit to it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import pytest

REPOSITORY = Path(__file__).parents[2]
PROPERTIES = REPOSITORY / "deploy" / "standalone" / "spark.conf"
START_SECONDS = 90

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Submitted:
    """How a submitted script ended. `output` is what the driver wrote, Spark's log included."""

    code: int
    output: str

    @property
    def coded_errors(self) -> list[str]:
        """The lines that say what went wrong: a code in capitals, a colon, a sentence."""
        return re.findall(r"^[A-Z][A-Z0-9_]+_[A-Z0-9_]+: .+$", self.output, re.MULTILINE)


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A running master with its workers. `master` is its spark:// URL, `folder` holds the logs."""

    master: str
    web: str
    folder: Path

    def state(self) -> dict[str, Any]:
        """What the master says of its workers and applications."""
        with urllib.request.urlopen(f"{self.web}/json/", timeout=10) as answer:
            found: dict[str, Any] = json.load(answer)
        return found

    def submit(
        self,
        script: Path | str,
        *arguments: str,
        conf: Mapping[str, str] | None = None,
        properties: Path = PROPERTIES,
        environment: Mapping[str, str] | None = None,
        folder: Path = REPOSITORY,
        seconds: float = 300,
    ) -> Submitted:
        """Run `spark-submit` in `folder` to its end, as the documentation writes the line.

        Args:
            conf: Settings by --conf, which win over the properties file.
            environment: Further variables for the driver.

        Raises:
            TimeoutError: with the end of the output; the driver's processes are stopped.
        """
        settings = [part for pair in (conf or {}).items() for part in ("--conf", "=".join(pair))]
        command = [_spark("spark-submit"), "--properties-file", str(properties)]
        command += ["--master", self.master, *settings, str(script), *arguments]
        log = self.folder / f"submit-{time.monotonic_ns()}.log"
        with _process(command, log, {**_environment(), **(environment or {})}, folder) as process:
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                raise TimeoutError(f"no end after {seconds:g} s: {_tail(log)}") from None
        return Submitted(code=code, output=log.read_text(errors="replace"))


def _spark(script: str) -> str:
    import pyspark

    return str(Path(pyspark.__file__).parent / "bin" / script)


def _environment() -> dict[str, str]:
    """This process's variables without those that a local session has left in it."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("SPARK", "PYSPARK", "_PYSPARK"))
    }
    return {
        **kept,
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_MEMORY": "256m",
        # Five JVMs share few cores for seconds: no second compiler, no collector threads.
        "JDK_JAVA_OPTIONS": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
    }


def _tail(log: Path, lines: int = 30) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def _process(
    command: Sequence[str], log: Path, environment: Mapping[str, str], folder: Path
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that leads its own group; all of the group has ended afterwards."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=dict(environment),
            start_new_session=True,
        )
    try:
        yield process
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(10)


def _wait_for(
    look: Callable[[], T | None], process: subprocess.Popen[bytes], log: Path, what: str
) -> T:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        if process.poll() is not None:
            break
        time.sleep(0.2)
    raise RuntimeError(f"{what} did not come up: {_tail(log)}")


@contextlib.contextmanager
def running_cluster(
    folder: Path,
    *,
    workers: int = 2,
    cores: int = 1,
    memory: str = "2g",
    worker_properties: Path | None = None,
) -> Iterator[Cluster]:
    """Start a master and its workers on ports that the system chooses, and stop them always.

    Args:
        folder: Takes the logs and the workers' folders.
        cores: Of each worker. memory: What each worker may give to executors.
        worker_properties: A properties file for the workers, e.g. with GPU addresses.
    """
    environment = _environment()
    spark_class = _spark("spark-class")
    local = ["--host", "127.0.0.1", "--port", "0", "--webui-port", "0"]
    with contextlib.ExitStack() as stack:
        log = folder / "master.log"
        command = [spark_class, "org.apache.spark.deploy.master.Master", *local]
        master = stack.enter_context(_process(command, log, environment, folder))

        def addresses() -> tuple[str, str] | None:
            text = log.read_text(errors="replace")
            url = re.search(r"Starting Spark master at (spark://[\w.:]+)", text)
            web = re.search(r"MasterWebUI.*http://[\w.]+:(\d+)", text)
            return (url[1], f"http://127.0.0.1:{web[1]}") if url and web else None

        url, web = _wait_for(addresses, master, log, "the master")
        cluster = Cluster(master=url, web=web, folder=folder)
        command = [spark_class, "org.apache.spark.deploy.worker.Worker", *local]
        command += ["--cores", str(cores), "--memory", memory]
        if worker_properties is not None:
            command += ["--properties-file", str(worker_properties)]
        for number in range(workers):
            log_of_worker = folder / f"worker-{number}.log"
            work = ["--work-dir", str(folder / f"worker-{number}"), url]
            stack.enter_context(_process([*command, *work], log_of_worker, environment, folder))

        def registered() -> bool | None:
            alive = [one for one in cluster.state()["workers"] if one["state"] == "ALIVE"]
            return True if len(alive) == workers else None

        _wait_for(registered, master, log, f"the {workers} workers")
        yield cluster


@pytest.fixture
def gpu_cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two workers with one core and one GPU each; their addresses, 3 and 5, are made up."""
    discover = tmp_path / "discover.sh"
    discover.write_text(
        f"#!/bin/sh\nmkdir {tmp_path}/asked 2>/dev/null && number=3 || number=5\n"
        """printf '{"name": "gpu", "addresses": ["%s"]}' $number\n"""
    )
    discover.chmod(0o755)
    properties = tmp_path / "worker.conf"
    properties.write_text(
        "spark.worker.resource.gpu.amount 1\n"
        f"spark.worker.resource.gpu.discoveryScript {discover}\n"
    )
    with running_cluster(tmp_path, worker_properties=properties) as found:
        yield found


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A master and two workers with one core each, for the whole test session."""
    with running_cluster(tmp_path_factory.mktemp("cluster")) as found:
        yield found
