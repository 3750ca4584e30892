"""Which functions a checkpoint takes for the same: by what they do, in whatever process."""

from __future__ import annotations

import functools
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import SparkSession

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import TrainedModel, fit
from sparkmine.train.models.base import FunctionNetwork

# As at a prompt: no file has this source.
TYPED = """
UNITS = {units}
KINDS = {{"relu", "tanh", "linear", "sigmoid"}}

def make(width, activation="tanh"):
    import keras
    assert activation in KINDS
    layers = [keras.layers.Dense(UNITS, activation), keras.layers.Dense(1, "sigmoid")]
    return keras.Sequential([keras.Input((width,)), *layers])
"""


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Snapshot:
    written = Lake(tmp_path_factory.mktemp("identity"), spark).table("rows")
    written.write(spark.range(200).selectExpr("double(id % 7) AS x", "id % 2 AS y"))
    return written.snapshot()


def typed(units: int) -> Any:
    namespace: dict[str, Any] = {"__name__": "__main__"}
    exec(TYPED.format(units=units), namespace)
    return namespace["make"]


def closed(dropout: float) -> Any:
    def build(width: int) -> Any:
        import keras

        layers = [keras.layers.Dropout(dropout), keras.layers.Dense(1, "sigmoid")]
        return keras.Sequential([keras.Input((width,)), *layers])

    return build


def identity(function: Any) -> dict[str, Any]:
    return FunctionNetwork(function=function).identity()


SAME = {
    "closure": lambda: closed(0.1),
    "partial": lambda: functools.partial(typed(4), activation="relu"),
    "typed": lambda: typed(4),
}
OTHER = {
    "closure": lambda: closed(0.5),
    "partial": lambda: functools.partial(typed(4), activation="linear"),
    "typed": lambda: typed(5),
}


@pytest.mark.parametrize("kind", list(SAME))
def test_the_same_function_goes_on_and_another_does_not(
    kind: str, fit_here: Callable[..., TrainedModel], table: Snapshot, tmp_path: Path
) -> None:
    def epochs(function: Any, number: int) -> list[int]:
        events: list[dict[str, Any]] = []
        settings = {"features": ["x"], "batch_size": 100, "checkpoint": tmp_path / "checkpoint"}
        fit_here(function, table, epochs=number, progress=events.append, **settings)
        return [event["epoch"] for event in events if event["event"] == "epoch"]

    assert epochs(SAME[kind](), 1) == [1]
    assert epochs(SAME[kind](), 2) == [2]
    assert epochs(OTHER[kind](), 2) == [1, 2]


def test_an_edited_module_is_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    file = tmp_path / "my_network.py"
    file.write_text(TYPED.format(units=4))
    first = identity("my_network:make")
    assert identity("my_network:make") == first
    file.write_text(TYPED.format(units=5))
    importlib.invalidate_caches()
    assert identity("my_network:make") != first
    assert "my_network" not in sys.modules  # it may import TensorFlow
    with pytest.raises(ConfigError, match="module no_such_network: the driver does not find it"):
        identity("no_such_network:make")


def test_it_is_alike_in_every_process(tmp_path: Path) -> None:
    told = set()
    for seed in ("1", "2"):
        script = (
            "import functools\nfrom sparkmine.train.models.base import FunctionNetwork\n"
            f"{TYPED.format(units=4)}\n"
            "print(FunctionNetwork(function=functools.partial(make, activation='relu'))"
            ".identity()['source'])\n"
        )
        environment = {**os.environ, "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", script], env=environment, capture_output=True, text=True
        )
        told.add(done.stdout or done.stderr)
    assert len(told) == 1
    assert told == {identity(SAME["partial"]())["source"] + "\n"}


def shared() -> int:
    return 3


def test_what_counts() -> None:
    """Values, code and methods do; addresses and what other modules define do not."""

    class Scaled:
        def __init__(self, factor: float) -> None:
            self.factor = factor

        def __call__(self, width: int) -> float:
            return self.factor * width

    def kept(values: Any) -> Any:
        return lambda: (values, shared(), os.getpid())

    alike = [(Scaled(2.0), Scaled(2.0)), (kept({"b", "a"}), kept({"a", "b"}))]
    alike += [(functools.cache(closed(0.1)), functools.cache(closed(0.1)))]
    apart = [(Scaled(2.0), Scaled(3.0)), (kept([1]), kept([2])), (kept(1), kept(True))]
    apart += [(kept({"a": 1}), kept({"a": 2})), (kept(Scaled(2.0)), kept(Scaled(3.0)))]
    apart += [(functools.cache(closed(0.1)), functools.cache(closed(0.2)))]
    for one, two in alike:
        assert identity(one) == identity(two)
    for one, two in apart:
        assert identity(one) != identity(two)


@pytest.mark.slow
def test_a_typed_partial_goes_on_after_a_restart(
    table: Snapshot, spark: SparkSession, tmp_path: Path
) -> None:
    processes: dict[int, int] = {}
    events: list[dict[str, Any]] = []

    def kill_once(event: dict[str, Any]) -> None:
        events.append(event)
        if event["event"] == "started":
            processes[event["rank"]] = event["pid"]
        if event["event"] == "epoch" and not any(e["event"] == "restart" for e in events):
            os.kill(processes[1], signal.SIGKILL)

    trained = fit(
        functools.partial(typed(4), activation="relu"),
        train=table,
        features=["x"],
        ranks=2,
        epochs=40,
        batch_size=20,
        checkpoint=tmp_path,
        max_restarts=1,
        spark=spark,
        progress=kill_once,
    )
    assert [record["epoch"] for record in trained.history] == list(range(1, 41))
    (restart,) = [number for number, event in enumerate(events) if event["event"] == "restart"]
    later = [event["epoch"] for event in events[restart:] if event["event"] == "epoch"]
    assert later[0] > 1
