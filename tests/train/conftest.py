"""A fit in the process of the tests (one rank, and no seconds for a fresh TensorFlow), and how
to wait for the ends of processes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.train import TrainedModel

Survivors = Callable[[Iterable[int], float], list[int]]


class Told:
    """Stands for the pipe to a rank's task."""

    def __init__(self, tell: Callable[[dict[str, Any]], None]) -> None:
        self._tell = tell

    def send(self, event: str, **values: Any) -> None:
        self._tell({"event": event, **values})

    def advance(self) -> None:
        pass


@pytest.fixture
def fit_here(
    spark: SparkSession, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., TrainedModel]:
    """`fit` with all that it does but the barrier stage and the rank's process."""
    import horovod.tensorflow as hvd
    from pyspark import cloudpickle

    from sparkmine.train import fitting
    from sparkmine.train.training import train

    def launch(
        _: SparkSession, packed: bytes, placing: Any, **options: Any
    ) -> dict[int, dict[str, bytes]]:
        hvd.init()
        folder = tmp_path / "rank"
        folder.mkdir(exist_ok=True)
        result = train(cloudpickle.loads(packed), Told(options["on_event"]), folder)
        (folder / "result.json").write_text(json.dumps(result))
        return {0: {file.name: file.read_bytes() for file in folder.iterdir()}}

    monkeypatch.setattr(fitting, "launch", launch)
    monkeypatch.setattr(fitting, "check_executors", lambda *_: None)

    def fit(network: Any, data: Any, **settings: Any) -> TrainedModel:
        return fitting.fit(network, train=data, ranks=1, spark=spark, **settings)

    return fit


@pytest.fixture
def survivors() -> Survivors:
    def left(processes: Iterable[int], seconds: float) -> list[int]:
        """Those that have not ended in time; one that nobody collected (a zombie) has ended."""
        deadline = time.monotonic() + seconds
        left = set(processes)
        while left and time.monotonic() < deadline:
            for process in list(left):
                try:
                    if psutil.Process(process).status() != psutil.STATUS_ZOMBIE:
                        continue
                except psutil.NoSuchProcess:
                    pass
                left.remove(process)
            time.sleep(0.1)
        return sorted(left)

    return left
