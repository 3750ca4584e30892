"""A rank's Spark task: places the rank among the others, starts its process, watches over it.

Runs in Spark's Python worker and imports neither TensorFlow nor the model's code.
"""

from __future__ import annotations

import collections
import contextlib
import json
import os
import queue
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

import pyarrow as pa

from sparkmine.train import worker
from sparkmine.train.channel import Event, Sender

if TYPE_CHECKING:
    from horovod.runner.common.util.hosts import SlotInfo
    from pyspark import BarrierTaskContext

# One row per piece of a file that a rank leaves; only rank 0 leaves a model.
SCHEMA = "rank int, name string, part int, data binary"
_ARROW = pa.schema(
    [("rank", pa.int32()), ("name", pa.string()), ("part", pa.int32()), ("data", pa.binary())]
)
_PART_BYTES = 32 << 20
_LAST_LINES = 30
# A rank that fails because another did waits, so that the other is heard first.
_COLLATERAL_SECONDS = 3.0
FAILED = "SPARKMINE_RANK_FAILED"


@dataclass(frozen=True, kw_only=True)
class Launch:
    """What every task is told. `job` is opaque here: the rank's process unpickles it."""

    job: bytes
    driver_host: str
    driver_port: int
    token: str
    threads: int
    gpus: int
    start_seconds: float
    silence_seconds: float
    environment: dict[str, str]


class RankFailure(Exception):
    """Raised in the task; its text is FAILED and an event as JSON, for the driver to find."""

    def __init__(self, event: Event) -> None:
        super().__init__(f"{FAILED} {json.dumps(event)}")


def rank_task(launch: Launch) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that Spark runs in every task of the barrier stage."""

    def run(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        from pyspark import BarrierTaskContext

        for _ in batches:
            pass  # the partition only stands for the rank
        context = BarrierTaskContext.get()
        with tempfile.TemporaryDirectory(prefix="sparkmine-rank-") as folder:
            yield from _run(context, launch, Path(folder))

    return run


def _run(context: BarrierTaskContext, launch: Launch, folder: Path) -> Iterator[pa.RecordBatch]:
    # The process starts first: TensorFlow's import takes longer than all that follows.
    (folder / "job").write_bytes(launch.job)
    with (
        _Process(folder, _environment(context, launch, folder)) as process,
        _rendezvous(context, launch) as (slot, variables),
    ):
        sender = Sender(launch.driver_host, launch.driver_port, launch.token, slot.rank)
        try:
            process.place(variables)
            failure = _watch(process, sender, launch, slot)
            if failure is not None:
                _report(failure, sender)
            for name in ("result.json", "model.keras", "dense.npz"):
                if (folder / name).is_file():
                    yield from _rows(slot.rank, folder / name)
            # Rank 0 serves the rendezvous until all have left it.
            context.barrier()
        finally:
            sender.close()


def _watch(process: _Process, sender: Sender, launch: Launch, slot: SlotInfo) -> Event | None:
    """Forward the process's events until it ends; return the event of a failure, or None."""
    begun = heard = time.monotonic()
    ready = done = False
    failed: Event | None = None
    while True:
        event = process.event(timeout=1.0)
        now = time.monotonic()
        if event is None and process.ended():
            break
        if event is not None:
            heard = now
            kind = event.get("event")
            ready = ready or kind == "ready"
            done = done or kind == "done"
            if kind == "failed":
                failed = event
            elif kind not in {"alive", "done"}:
                sender.send({**event, "host": slot.hostname})
        # Until TensorFlow is imported, the beating thread may wait for the import's lock.
        silence = launch.silence_seconds if ready else launch.start_seconds
        if now - heard > silence:
            failed = {"reason": f"no sign of life for {silence:g} s (stopped or swapped out)"}
        elif not ready and now - begun > launch.start_seconds:
            failed = {"reason": f"not ready after {launch.start_seconds:g} s", "collateral": True}
        else:
            continue
        process.kill()
        break
    status = process.wait()
    if failed is None and done and status == 0:
        sender.send({"event": "done"})
        return None
    if failed is None:
        failed = {"reason": _exit_reason(status)}
    return {
        **failed,
        "event": "failed",
        "rank": slot.rank,
        "host": slot.hostname,
        "lines": process.last_lines(),
    }


def _report(failure: Event, sender: Sender) -> None:
    if failure.get("collateral"):
        time.sleep(_COLLATERAL_SECONDS)
    sender.send(failure)
    raise RankFailure(failure)


def _exit_reason(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    name = signal.Signals(-status).name
    hint = " (often the kernel's answer to memory running out)" if name == "SIGKILL" else ""
    return f"killed by {name}{hint}"


def _rows(rank: int, file: Path) -> Iterator[pa.RecordBatch]:
    with file.open("rb") as stream:
        part = 0
        while data := stream.read(_PART_BYTES):
            yield pa.RecordBatch.from_pydict(
                {"rank": [rank], "name": [file.name], "part": [part], "data": [data]},
                schema=_ARROW,
            )
            part += 1


class _Process:
    """The rank's process: its events, its last lines of output, and its certain end."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        reading, writing = os.pipe()
        try:
            self._process = subprocess.Popen(
                # -P keeps the working folder off the import path.
                [sys.executable, "-P", "-m", worker.__name__],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                cwd=folder,
                env={
                    **environment,
                    worker.PARENT: str(os.getpid()),
                    worker.CONTROL: str(writing),
                    worker.FOLDER: str(folder),
                },
                pass_fds=(writing,),
                start_new_session=True,  # its own process group, so that one signal ends it all
            )
        finally:
            os.close(writing)
        self._events: queue.Queue[Event | None] = queue.Queue()
        self._lines: collections.deque[str] = collections.deque(maxlen=_LAST_LINES)
        assert self._process.stdout is not None
        self._threads = [
            threading.Thread(target=self._read_events, args=(os.fdopen(reading, "rb"),)),
            threading.Thread(target=self._read_lines, args=(self._process.stdout,)),
        ]
        for thread in self._threads:
            thread.daemon = True
            thread.start()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()
        self.wait()

    def place(self, variables: dict[str, str]) -> None:
        """Tell the process its place among the ranks."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it ended already; the watch tells how
            self._process.stdin.write(json.dumps(variables).encode() + b"\n")
            self._process.stdin.flush()

    def event(self, timeout: float) -> Event | None:
        """Return the next event, or None if there is none in time or any more."""
        if self._closed:
            return None
        try:
            event = self._events.get(timeout=timeout)
        except queue.Empty:
            return None
        self._closed = event is None
        return event

    def ended(self) -> bool:
        """Tell whether no event can come any more."""
        return self._closed

    def kill(self) -> None:
        """Kill the process and what it may have started."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the end, and return the exit status (negative: a signal)."""
        status = self._process.wait()
        for thread in self._threads:
            thread.join(timeout=2.0)
        return status

    def last_lines(self) -> list[str]:
        """Return the last lines of standard output and error."""
        return list(self._lines)

    def _read_events(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._events.put(json.loads(line))
        self._events.put(None)

    def _read_lines(self, stream: IO[bytes]) -> None:
        with stream:
            for line in stream:
                self._lines.append(line.decode(errors="replace").rstrip()[:500])


@contextlib.contextmanager
def _rendezvous(
    context: BarrierTaskContext, launch: Launch
) -> Iterator[tuple[SlotInfo, dict[str, str]]]:
    """Agree with all tasks on ranks and on where they meet; the first task hosts the meeting."""
    from horovod.runner.http.http_server import RendezvousServer

    address = route(launch.driver_host, launch.driver_port)
    server = RendezvousServer() if context.partitionId() == 0 else None
    port = server.start() if server is not None else 0
    try:
        mine = {"host": socket.gethostname(), "address": address, "port": port}
        everyone = [json.loads(text) for text in context.allGather(json.dumps(mine))]
        slots = place_ranks([f"{one['host']}/{one['address']}" for one in everyone])
        if server is not None:
            server.init(slots)
        slot = slots[context.partitionId()]
        meeting = everyone[0]
        own = route(meeting["address"], meeting["port"])
        yield slot, {**_horovod(slot, own), **_meeting(meeting)}
    finally:
        if server is not None:
            server.stop()


def place_ranks(hosts: list[str]) -> list[SlotInfo]:
    """Return the place of each task, given the hosts of the tasks in their order.

    Tasks of one host get neighbouring ranks, as Horovod expects; the first task is rank 0.
    """
    from horovod.runner.common.util.hosts import SlotInfo

    by_host: dict[str, list[int]] = {}
    for task, host in enumerate(hosts):
        by_host.setdefault(host, []).append(task)
    slots: dict[int, SlotInfo] = {}
    rank = 0
    for tasks in by_host.values():
        for local_rank, task in enumerate(tasks):
            peers = [host for host, others in by_host.items() if len(others) > local_rank]
            slots[task] = SlotInfo(
                hostname=hosts[task],
                rank=rank,
                local_rank=local_rank,
                cross_rank=peers.index(hosts[task]),
                size=len(hosts),
                local_size=len(tasks),
                cross_size=len(peers),
            )
            rank += 1
    return [slots[task] for task in range(len(hosts))]


def route(host: str, port: int) -> str:
    """Return this machine's address on the way to `host`; nothing is sent."""
    family, kind, _, _, target = socket.getaddrinfo(host, port or 1, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(target)
        return str(probe.getsockname()[0])


def _interface(address: str) -> str:
    import psutil

    for name, addresses in psutil.net_if_addrs().items():
        if any(one.address.split("%")[0] == address for one in addresses):
            return str(name)
    raise RuntimeError(f"no network interface has the address {address}")


def _horovod(slot: SlotInfo, address: str) -> dict[str, str]:
    places = {key: value for key, value in asdict(slot).items() if key != "hostname"}
    interface = _interface(address)
    return {
        **{f"HOROVOD_{key.upper()}": str(value) for key, value in places.items()},
        "HOROVOD_HOSTNAME": slot.hostname.replace("/", "-"),
        "HOROVOD_GLOO_IFACE": interface,
        "NCCL_SOCKET_IFNAME": interface,
    }


def _meeting(meeting: dict[str, Any]) -> dict[str, str]:
    return {
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": meeting["address"],
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(meeting["port"]),
    }


def _environment(context: BarrierTaskContext, launch: Launch, folder: Path) -> dict[str, str]:
    gpus = ""
    if launch.gpus:
        gpus = ",".join(context.resources()["gpu"].addresses)
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONUNBUFFERED": "1",
        # What TensorFlow leaves when it is killed goes with the rank's folder.
        "TMPDIR": str(folder),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # -1, not empty: a CPU rank must not take the memory of every GPU it sees.
        "CUDA_VISIBLE_DEVICES": gpus or "-1",
        "OMP_NUM_THREADS": str(launch.threads),
        "HOROVOD_LOG_LEVEL": "error",
        # The first connection waits for the slowest import.
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(int(launch.start_seconds)),
        **launch.environment,
    }
