"""What happens to a fit when one of its processes dies, hangs or goes wrong: real processes, real
signals. In every case all ranks end, none is left over, and the error names the rank."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow.parquet as pq
import pytest
from pyspark.sql import SparkSession

from sparkmine.errors import (
    ConfigError,
    RankFailedError,
    TableDamagedError,
    TooFewSlotsError,
)
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import MLP, fit
from sparkmine.train.layout import Feature, Layout
from sparkmine.train.order import Order
from sparkmine.train.restarts import with_restarts
from sparkmine.train.source import opened

Survivors = Callable[[Iterable[int], float], list[int]]
DRIVER = Path(__file__).with_name("driver.py")
END_SECONDS = 60
EXTREME = 3e38


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Snapshot:
    """2,000 rows [x, y, extreme]: `extreme` is x but for one row with a number near the largest."""
    frame = spark.range(2000).selectExpr(
        "double(id % 7) AS x",
        "id % 2 AS y",
        f"CASE WHEN id = 1234 THEN double('{EXTREME}') ELSE double(id % 7) END AS extreme",
    )
    written = Lake(tmp_path_factory.mktemp("faults"), spark).table("rows")
    written.write(frame)
    return written.snapshot()


class Watched:
    """Takes the events of a fit, and sends rank 1 a signal at the first that `when` names.

    `done_at` is when that was; without a signal, when the last event came.
    """

    def __init__(self, when: str = "", number: signal.Signals | None = None) -> None:
        self.events: list[dict[str, Any]] = []
        self.processes: dict[int, int] = {}
        self.every: set[int] = set()
        self._when = when
        self._number = number
        self.done_at = 0.0

    def __call__(self, event: dict[str, Any]) -> None:
        self.events.append(event)
        if self._number is None:
            self.done_at = time.monotonic()
        if event["event"] == "started":
            self.processes[event["rank"]] = event["pid"]
            self.every.add(event["pid"])
        elif event["event"] == self._when and self._number is not None and not self.done_at:
            self.done_at = time.monotonic()
            os.kill(self.processes[1], self._number)

    def check_end(self, survivors: Survivors) -> None:
        """Both ranks have been there, and have ended in time."""
        assert len(self.every) == 2
        left = self.done_at + END_SECONDS - time.monotonic()
        assert left > 0 and not survivors(self.every, left)


def settings(table: Snapshot, spark: SparkSession, **more: Any) -> dict[str, Any]:
    return {
        "train": table,
        "features": ["x"],
        "ranks": 2,
        "epochs": 100_000,
        "batch_size": 20,
        "spark": spark,
        **more,
    }


@pytest.mark.slow
def test_a_stopped_rank_ends_all(
    table: Snapshot, spark: SparkSession, survivors: Survivors
) -> None:
    watched = Watched("step", signal.SIGSTOP)
    with pytest.raises(RankFailedError, match=r"rank 1 of 2 on .*: no sign of life for 5 s"):
        fit(MLP(), **settings(table, spark, progress=watched, silence_seconds=5.0))
    watched.check_end(survivors)


def before_each_step(width: int, work: Callable[[Any, Any], Any]) -> Any:
    """A model whose steps begin with `work` of the batch and the number of steps before."""
    import keras
    import tensorflow as tf

    model = keras.Sequential([keras.Input((width,)), keras.layers.Dense(1, activation="sigmoid")])
    true_step = model.train_step

    def step(data: Any) -> Any:
        x, y = data
        return true_step((work(x, tf.convert_to_tensor(model.optimizer.iterations)), y))

    model.train_step = step
    return model


def hungry(width: int) -> Any:
    """A model that needs 4 GiB in its 20th step on rank 1, where 2 GiB are left."""
    import resource

    import horovod.tensorflow as hvd
    import tensorflow as tf

    wanted = 1
    if hvd.rank() == 1:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30), resource.RLIM_INFINITY))
        wanted = 1 << 30
        print("this rank may take 2 GiB more")

    def eat(x: Any, step: Any) -> Any:
        floats = tf.where(step < 19, 1, wanted)
        return x + tf.minimum(tf.reduce_sum(tf.zeros([floats])), 0.0)

    return before_each_step(width, eat)


@pytest.mark.slow
def test_a_rank_out_of_memory_is_named(
    table: Snapshot, spark: SparkSession, survivors: Survivors
) -> None:
    watched = Watched()
    text = (
        r"rank 1 of 2 on .*: ResourceExhaustedError: .*OOM when allocating tensor with "
        r"shape\[1073741824\].*; last output: "
    )
    with pytest.raises(RankFailedError, match=text):
        fit(hungry, **settings(table, spark, progress=watched))
    watched.check_end(survivors)
    steps = [event["step"] for event in watched.events if event["event"] == "step"]
    assert steps and max(steps) < 20  # in the middle of an epoch of 50 steps


def blocked(width: int) -> Any:
    """A function that never returns on rank 1."""
    import threading

    import horovod.tensorflow as hvd

    if hvd.rank() == 1:
        print("waiting for a lock that nobody gives back")
        threading.Event().wait()
    return MLP().build(Layout(columns=(Feature("x"),)))


def looping(width: int) -> Any:
    """A model whose 20th step never ends on rank 1: a loop in Python that a graph calls."""
    import horovod.tensorflow as hvd
    import tensorflow as tf

    wanted = 20 if hvd.rank() == 1 else -1
    steps = 0

    def count(x: Any) -> Any:
        nonlocal steps
        steps += 1
        while steps == wanted:
            pass
        return x

    def counted(x: Any, step: Any) -> Any:
        return tf.ensure_shape(tf.numpy_function(count, [x], tf.float32), x.shape)

    return before_each_step(width, counted)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("network", "text"),
    [
        (blocked, r"test_faults\.py:\d+ in blocked; .*waiting for a lock that nobody gives back"),
        (looping, r"test_faults\.py:\d+ in count; "),
    ],
)
def test_a_rank_that_stands_still_is_named(
    network: Any, text: str, table: Snapshot, spark: SparkSession, survivors: Survivors
) -> None:
    """Its threads are alive, and the others wait for it."""
    processes: list[int] = []

    def note(event: dict[str, Any]) -> None:
        if event["event"] == "started":
            processes.append(event["pid"])

    where = r"RANK_FAILED: rank 1 of 2 on .*: no progress for \d s \(stall_seconds is 6\): "
    with pytest.raises(RankFailedError, match=where + "it stands at .*" + text):
        fit(network, **settings(table, spark, progress=note, stall_seconds=6.0))
    assert len(processes) == 2
    assert not survivors(processes, 5.0)


def broken(width: int) -> Any:
    raise RuntimeError(f"no model for {width} columns")


@pytest.mark.slow
def test_a_rank_that_raises_is_quoted(
    table: Snapshot, spark: SparkSession, survivors: Survivors
) -> None:
    watched = Watched()
    with pytest.raises(RankFailedError, match=r"rank \d of 2 .*RuntimeError: no model for 1 col"):
        fit(broken, **settings(table, spark, progress=watched))
    watched.check_end(survivors)


@pytest.mark.slow
def test_the_rank_with_the_extreme_row_is_named(
    table: Snapshot, spark: SparkSession, survivors: Survivors
) -> None:
    with opened(table, ("extreme", "y"), spark) as source:
        order = Order(rows=source.rows, ranks=2, seed=0)
        blocks = [
            np.asarray(source.scan.read(block).column("extreme")) == EXTREME
            for block in source.blocks
        ]
    (expected,) = [
        rank
        for rank in range(2)
        if any(
            np.concatenate([blocks[number] for number in piece.blocks])[piece.take].any()
            for piece in order.pieces(0, rank)
        )
    ]
    text = rf"rank {expected} of 2 on .*a gradient of this rank is NaN or infinite"
    watched = Watched()
    more: dict[str, Any] = {"features": ["extreme"], "progress": watched}
    with pytest.raises(RankFailedError, match=text):
        fit(MLP(task="regression"), **settings(table, spark, **more))
    watched.check_end(survivors)


@pytest.mark.slow
def test_a_damaged_data_file_is_no_failed_rank(
    table: Snapshot, spark: SparkSession, tmp_path: Path
) -> None:
    """Only the pages of `x` are, which the driver does not read; and it would be so again."""
    lake = tmp_path / "lake"
    Lake(lake, spark).table("rows").write(table.dataframe(spark))
    damaged = Lake(lake, spark).table("rows").snapshot()
    file = Path(damaged.files[-1].path)
    group = pq.ParquetFile(file).metadata.row_group(0)
    (x,) = [
        chunk
        for chunk in map(group.column, range(group.num_columns))
        if chunk.path_in_schema == "x"
    ]
    begin = x.dictionary_page_offset or x.data_page_offset
    with file.open("r+b") as stream:
        stream.seek(begin)
        stream.write(b"\xff" * x.total_compressed_size)
    events: list[dict[str, Any]] = []
    more = {"progress": events.append, "checkpoint": tmp_path / "deep", "max_restarts": 2}
    with pytest.raises(TableDamagedError, match=f"data file {file} cannot be read .*RESTORE"):
        fit(MLP(), **settings(damaged, spark, **more))
    assert not [event for event in events if event["event"] == "restart"]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "silence", "text"),
    [
        (signal.SIGKILL, 30.0, "killed by SIGKILL"),
        (signal.SIGSTOP, 5.0, "no sign of life for 5 s"),
    ],
)
def test_a_restart_goes_on_after_the_last_checkpoint(
    number: signal.Signals,
    silence: float,
    text: str,
    table: Snapshot,
    spark: SparkSession,
    tmp_path: Path,
    survivors: Survivors,
) -> None:
    watched = Watched("epoch", number)
    changed = {"epochs": 60, "checkpoint": tmp_path, "max_restarts": 1, "progress": watched}
    trained = fit(MLP(hidden=[8]), **settings(table, spark, **changed, silence_seconds=silence))
    assert [record["epoch"] for record in trained.history] == list(range(1, 61))
    (restart,) = [event for event in watched.events if event["event"] == "restart"]
    assert (restart["restart"], restart["restarts"]) == (1, 1)
    assert "rank 1 of 2" in restart["reason"] and text in restart["reason"]
    later = watched.events[watched.events.index(restart) :]
    assert next(event["epoch"] for event in later if event["event"] == "epoch") > 1
    assert len(watched.every) == 4  # two ranks, twice
    assert not survivors(watched.every, END_SECONDS)


def test_only_failed_ranks_are_met_with_a_restart() -> None:
    tried: list[str] = []
    events: list[dict[str, Any]] = []

    def attempt(error: BaseException) -> None:
        tried.append(type(error).__name__)
        raise error

    def twice(error: BaseException) -> None:
        tried.clear()
        with pytest.raises(type(error)):
            with_restarts(
                lambda: attempt(error), most=2, check=lambda: None, on_event=events.append
            )

    for error in (ConfigError("wrong"), KeyboardInterrupt(), OSError("disk")):
        twice(error)
        assert len(tried) == 1 and not events
    twice(RankFailedError("rank 1 of 2 died"))
    assert len(tried) == 3
    assert [event["restart"] for event in events] == [1, 2]
    assert {event["reason"] for event in events} == {"rank 1 of 2 died"}


def test_without_slots_there_is_no_restart() -> None:
    def attempt() -> None:
        raise RankFailedError("rank 1 of 2 died")

    def check() -> None:
        raise TooFewSlotsError("2 ranks need 2 slots")

    text = "RANK_FAILED: rank 1 of 2 died; no restart: TOO_FEW_SLOTS: 2 ranks need 2 slots"
    with pytest.raises(RankFailedError, match=text):
        with_restarts(attempt, most=1, check=check, on_event=lambda event: None)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "group", "code"),
    [(signal.SIGKILL, False, -9), (signal.SIGTERM, False, 143), (signal.SIGINT, True, 130)],
)
def test_nothing_is_left_of_a_driver_that_ends(
    number: signal.Signals, group: bool, code: int, tmp_path: Path, survivors: Survivors
) -> None:
    folders = {"TMPDIR": tmp_path / "python", "SPARK_LOCAL_DIRS": tmp_path / "spark"}
    for folder in folders.values():
        folder.mkdir()
    with subprocess.Popen(
        [sys.executable, str(DRIVER)],
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "stderr").open("wb"),
        env={**os.environ, **{name: str(folder) for name, folder in folders.items()}},
        start_new_session=True,
    ) as driver:
        try:
            ranks = set()
            assert driver.stdout is not None
            for line in driver.stdout:
                event = json.loads(line)
                if event["event"] == "step":
                    break
                ranks.add(event["pid"])
            assert len(ranks) == 2, (tmp_path / "stderr").read_text()[-2000:]
            family = {p.pid for p in psutil.Process(driver.pid).children(recursive=True)}
            assert ranks < family
            # Ctrl-C reaches the whole group of a terminal, others the driver alone.
            (os.killpg if group else os.kill)(driver.pid, number)
            began = time.monotonic()
            assert driver.wait(END_SECONDS) == code, (tmp_path / "stderr").read_text()[-2000:]
            assert not survivors(family, began + END_SECONDS - time.monotonic())
            # The workers were killed; their folders went with Spark's. A killed driver leaves its
            # own table.
            left = [path.name for folder in folders.values() for path in folder.iterdir()]
            if number == signal.SIGKILL:
                left = [name for name in left if not name.startswith(".sparkmine-scratch-")]
            assert left == []
        finally:
            driver.kill()


# A network of its own for the driver, with an interface whose packets to itself go nowhere, as
# behind a firewall that drops them.
_BEHIND_A_FIREWALL = (
    "ip link set lo up && ip link add one type veth peer name other && "
    "ip addr add 10.9.0.1/24 dev one && ip link set one up && "
    'ip route del local 10.9.0.1 dev one table local && readlink /proc/self/ns/net && exec "$@"'
)


@pytest.mark.slow
def test_rank_0_behind_a_firewall_is_named(survivors: Survivors) -> None:
    alone = ["unshare", "--net", "--map-root-user", "sh", "-c", _BEHIND_A_FIREWALL, "sh"]
    try:
        subprocess.run([*alone, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this machine gives no network of one's own: {error}")
    began = time.monotonic()
    with subprocess.Popen(
        [*alone, sys.executable, str(DRIVER), "one"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as driver:
        try:
            told, complaint = driver.communicate(timeout=120)
        finally:
            driver.kill()
    assert driver.returncode == 1
    assert "RANK_UNREACHABLE" in complaint
    assert "cannot connect to rank 0 on" in complaint and "(10.9.0.1 port " in complaint
    assert "network_interface=" in complaint
    network = told.splitlines()[0]
    assert not survivors(processes_of(network), began + 120 - time.monotonic())


def processes_of(network: str) -> set[int]:
    """The processes that live in this network, which only one driver and its children have."""
    found = set()
    for process in psutil.pids():
        with contextlib.suppress(OSError):  # it has ended
            if str(Path(f"/proc/{process}/ns/net").readlink()) == network:
                found.add(process)
    return found
