"""What the benchmarks share: generated tables that are kept between runs, medians, peaks."""

from __future__ import annotations

import contextlib
import statistics
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import psutil
import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

FOLDER = Path(__file__).parents[1] / "build" / "bench"
CHUNK = 250_000


def bench_session(memory: str = "6g", **conf: str) -> SparkSession:
    """A session with the driver's memory stated and nothing else changed."""
    from sparkmine import session

    settings = {"spark.driver.memory": memory, "spark.ui.enabled": "false"}
    return session("bench", conf={**settings, **conf}, log_file=FOLDER / "spark.log")


def table(spark: SparkSession, name: str, chunks: Callable[[], Iterator[pa.Table]]) -> Snapshot:
    """The generated Delta table `name`, made once: the chunks become its Parquet files."""
    from sparkmine import Lake

    lake = Lake(FOLDER / "lake", spark)
    path = Path(lake.table(name).path)
    if not (path / "_delta_log").is_dir():
        path.mkdir(parents=True, exist_ok=True)
        for number, chunk in enumerate(chunks()):
            # Dictionary and Snappy, as Spark itself writes.
            pq.write_table(chunk, path / f"part-{number:05}.snappy.parquet", compression="snappy")
        # Statistics would be another pass over the data, and need a heap for the widest rows.
        spark.sql(f"convert to delta parquet.`{path}` no statistics")
    return lake.table(name).snapshot()


def sizes(rows: int, chunk: int = CHUNK) -> Iterator[int]:
    """The rows of each chunk."""
    for begin in range(0, rows, chunk):
        yield min(chunk, rows - begin)


def mixed(rows: int, seed: int = 1) -> Iterator[pa.Table]:
    """13 floats with 5 % nulls, 26 heavy-tailed integer categories, a label: 40 columns.

    A category of cardinality C is log-uniform, P(k) ~ 1/k; C goes from 4 to 2 million.
    """
    rng = np.random.default_rng(seed)
    for size in sizes(rows):
        columns: dict[str, pa.Array] = {}
        for i in range(13):
            values = rng.lognormal(i % 3, 1.0, size) if i % 2 else rng.normal(10.0 * i, 3.0, size)
            columns[f"f{i}"] = pa.array(values, mask=rng.random(size) < 0.05)
        for i, cardinality in enumerate(np.geomspace(4, 2e6, 26)):
            columns[f"c{i}"] = pa.array((cardinality ** rng.random(size)).astype(np.int64))
        columns["y"] = pa.array(rng.integers(0, 2, size))
        yield pa.table(columns)


def median_seconds(work: Callable[[], Any], runs: int = 3, warm: int = 1) -> float:
    """Median seconds of `runs` calls after `warm` calls that are not counted."""
    found = []
    for number in range(warm + runs):
        began = time.perf_counter()
        work()
        if number >= warm:
            found.append(time.perf_counter() - began)
    return statistics.median(found)


class PeakMemory:
    """The largest resident memory of this process, the JVM and all workers together, sampled.

    Pages that processes share count in each, so it is rather too much than too little.
    """

    def __init__(self, every: float = 0.1) -> None:
        self.bytes = 0
        self._every = every
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> PeakMemory:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        me = psutil.Process()
        while not self._stop.wait(self._every):
            total = 0
            for process in [me, *me.children(recursive=True)]:
                with contextlib.suppress(psutil.NoSuchProcess):
                    total += process.memory_info().rss
            self.bytes = max(self.bytes, total)


def commit() -> str:
    """The commit that is measured, for the published table."""
    command = ["git", "describe", "--always", "--dirty"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def report(title: str, seconds: Mapping[str, float], *, wanted: float) -> None:
    """Print what was measured: ours first, then the peer's, if both were."""
    print(f"{title}, commit {commit()}")
    for name, value in seconds.items():
        print(f"  {name:12} {value:7.2f} s")
    if len(seconds) == 2:
        ours, peer = seconds.values()
        print(f"  {peer / ours:.1f} times faster (wanted {wanted:g})")
