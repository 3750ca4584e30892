"""A rank's Spark task: places the rank among the others, starts its process, watches over it.

Runs in Spark's Python worker and imports neither TensorFlow nor the model's code.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import pyarrow as pa

from sparkmine.errors import RankUnreachableError
from sparkmine.train import folders, network, priority, probe, worker
from sparkmine.train.channel import Event, Sender
from sparkmine.train.process import RankProcess

if TYPE_CHECKING:
    from horovod.runner.common.util.hosts import SlotInfo
    from pyspark import BarrierTaskContext

# One row per piece of a file that a rank leaves; only rank 0 leaves a model.
SCHEMA = "rank int, name string, part int, data binary"
_ARROW = pa.schema(
    [("rank", pa.int32()), ("name", pa.string()), ("part", pa.int32()), ("data", pa.binary())]
)
_PART_BYTES = 32 << 20
# How often and how much of the output the driver gets, for when the executor does not live to tell.
_OUTPUT_SECONDS = 1.0
_OUTPUT_LINES = 8
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
    expected: probe.Expected
    start_seconds: float
    silence_seconds: float
    stall_seconds: float
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
        with folders.of_worker("rank") as folder:
            yield from _run(context, launch, folder)

    return run


def _run(context: BarrierTaskContext, launch: Launch, folder: Path) -> Iterator[pa.RecordBatch]:
    (folder / "job").write_bytes(launch.job)
    gpus = probe.addresses(context) if launch.expected.gpus else []
    findings = probe.look(launch.expected, gpus)
    with contextlib.ExitStack() as stack:
        process = None
        if not findings:
            # Before the tasks meet, which takes a second: TensorFlow's import takes many.
            process = stack.enter_context(RankProcess(folder, _environment(launch, folder, gpus)))
        everyone = stack.enter_context(_meeting(context, launch, findings))
        found = refusal(everyone)
        if found is not None:
            number = context.partitionId()  # ranks are not given yet
            with _sender(launch, number) as sender:
                _report({**found, "rank": number}, sender)
        assert process is not None  # what kept it from starting is a refusal
        slot = _slots(everyone)[context.partitionId()]
        with _sender(launch, slot.rank) as sender:
            process.place(_horovod(slot, everyone[0], probe.interface(launch.expected)))
            failure = _watch(process, sender, launch, slot)
            if failure is not None:
                _report(failure, sender)
            for name in ("result.json", "model.keras", "generator.keras", "dense.npz"):
                if (folder / name).is_file():
                    yield from _rows(slot.rank, folder / name)
            # Rank 0 serves the rendezvous until all have left it.
            context.barrier()


def _sender(launch: Launch, rank: int) -> contextlib.closing[Sender]:
    return contextlib.closing(Sender(launch.driver_host, launch.driver_port, launch.token, rank))


def _watch(process: RankProcess, sender: Sender, launch: Launch, slot: SlotInfo) -> Event | None:
    """Forward the process's events until it ends; return the event of a failure, or None."""
    begun = heard = told = time.monotonic()
    ready = done = False
    lines: list[str] = []
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
        if now - told > _OUTPUT_SECONDS and lines != (last := process.last_lines()):
            lines, told = last, now
            quoted = lines[-_OUTPUT_LINES:]
            sender.send({"event": "output", "host": slot.hostname, "lines": quoted})
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


def _report(failure: Event, sender: Sender) -> NoReturn:
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


@contextlib.contextmanager
def _meeting(
    context: BarrierTaskContext, launch: Launch, findings: list[probe.Finding]
) -> Iterator[list[dict[str, Any]]]:
    """Give what all tasks say of themselves; the first one serves Horovod's rendezvous."""
    mine = {"host": socket.gethostname(), "address": "", "port": 0, "findings": findings}
    server = None
    try:
        if not findings:
            chosen = probe.interface(launch.expected)
            mine["address"] = (
                network.route(launch.driver_host, launch.driver_port)
                if chosen is None
                else network.addresses()[chosen][0]
            )
            if context.partitionId() == 0:
                # Only now: an executor that lacks Horovod has said so.
                from horovod.runner.http.http_server import RendezvousServer

                server = RendezvousServer()
                mine["port"] = server.start()
        everyone = [json.loads(text) for text in context.allGather(json.dumps(mine))]
        if server is not None and not any(one["findings"] for one in everyone):
            server.init(_slots(everyone))
        yield everyone
    finally:
        if server is not None:
            server.stop()


def refusal(everyone: list[dict[str, Any]]) -> Event | None:
    """Return the event of a failure if any task has found something, or if rank 0 is unreachable.

    The same for all tasks, so it does not matter which is heard first.
    """
    found = probe.summary([(one["host"], one["findings"]) for one in everyone])
    if found is None:
        address, port = everyone[0]["address"], everyone[0]["port"]
        reason = network.why_unreachable(address, port)
        if reason is None:
            return None
        found = (
            RankUnreachableError.code,
            f"{socket.gethostname()} cannot connect to rank 0 on {everyone[0]['host']} "
            f"({address} port {port}): {reason}; open all ports between executors, or choose "
            "another network by network_interface=",
        )
    return {"event": "failed", "code": found[0], "message": found[1], "host": socket.gethostname()}


def _slots(everyone: list[dict[str, Any]]) -> list[SlotInfo]:
    return place_ranks([f"{one['host']}/{one['address']}" for one in everyone])


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


def _horovod(slot: SlotInfo, meeting: dict[str, Any], interface: str | None) -> dict[str, str]:
    """Return the variables by which Horovod knows its place and where the ranks meet."""
    places = {key: value for key, value in asdict(slot).items() if key != "hostname"}
    if interface is None:
        interface = network.interface_of(network.route(meeting["address"], meeting["port"]))
    return {
        **{f"HOROVOD_{key.upper()}": str(value) for key, value in places.items()},
        "HOROVOD_HOSTNAME": slot.hostname.replace("/", "-"),
        "HOROVOD_GLOO_IFACE": interface,
        "NCCL_SOCKET_IFNAME": interface,
        "HOROVOD_CONTROLLER": "gloo",
        "HOROVOD_CPU_OPERATIONS": "gloo",
        "HOROVOD_CYCLE_TIME": os.environ.get("HOROVOD_CYCLE_TIME", priority.CYCLE),
        "HOROVOD_GLOO_RENDEZVOUS_ADDR": meeting["address"],
        "HOROVOD_GLOO_RENDEZVOUS_PORT": str(meeting["port"]),
    }


def _environment(launch: Launch, folder: Path, gpus: list[str]) -> dict[str, str]:
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
        "PYTHONUNBUFFERED": "1",
        # What TensorFlow leaves when it is killed goes with the rank's folder.
        "TMPDIR": str(folder),
        "KERAS_BACKEND": "tensorflow",
        "TF_CPP_MIN_LOG_LEVEL": "2",
        # -1, not empty: a CPU rank must not take the memory of every GPU it sees.
        "CUDA_VISIBLE_DEVICES": ",".join(gpus) or "-1",
        "OMP_NUM_THREADS": str(launch.threads),
        worker.STALL: str(launch.stall_seconds),
        "HOROVOD_LOG_LEVEL": "error",
        # The first connection waits for the slowest import.
        "HOROVOD_GLOO_TIMEOUT_SECONDS": str(int(launch.start_seconds)),
        **launch.environment,
    }
