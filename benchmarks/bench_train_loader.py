"""The loader of one rank against a bare pyarrow scan of the same columns, and against petastorm.

2 M rows of 39 numbers and a label, batches of 4,096, shuffled by the loader and the reader, not by
the scan. Ours is measured as NumPy batches and as the `tf.data` dataset that Keras takes them from.

    python benchmarks/bench_train_loader.py [--rows 2000000] [--petastorm PYTHON]

petastorm 0.13.1 needs a pyarrow older than ours: give the interpreter of an environment with
petastorm==0.13.1 pyarrow<15 numpy<2 setuptools<81 pyspark<4 tensorflow==2.18.1. It reads 200,000
rows as Horovod's Keras estimator does: shuffled row groups, taken apart into rows, and batched.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import urllib.parse
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
from common import CHUNK, bench_session, commit, median_seconds, sizes, table

from sparkmine.train import source
from sparkmine.train.examples import dataset
from sparkmine.train.layout import Feature, Layout
from sparkmine.train.loader import Blocks, Loader
from sparkmine.train.order import Order

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

BATCH = 4096
FEATURES = [f"f{number}" for number in range(39)]
WANTED = 0.9
PETASTORM_ROWS = 200_000


def numbers(rows: int) -> Iterator[pa.Table]:
    """13 columns of heavy tails, 13 normal ones, 13 of whole numbers; all double; a label."""
    rng = np.random.default_rng(0)
    for size in sizes(rows, CHUNK):
        columns = [rng.lognormal(size=size) for _ in range(13)]
        columns += [rng.normal(size=size) for _ in range(13)]
        columns += [rng.integers(0, 1000, size).astype(float) for _ in range(13)]
        named = dict(zip(FEATURES, columns, strict=True))
        yield pa.table({**named, "y": rng.integers(0, 2, size).astype(float)})


def loader_of(spark: SparkSession, snapshot: Snapshot) -> Loader:
    layout = Layout(columns=tuple(Feature(name) for name in FEATURES), labels=("y",))
    with source.opened(snapshot, (*FEATURES, "y"), spark) as rows:
        order = Order(rows=rows.rows, ranks=1, seed=0)
        return Loader(Blocks(rows, layout), order, rank=0, batch_size=BATCH)


def consumed(batches: Callable[[], Iterator[Any]], rows: int) -> Callable[[], None]:
    """Work that reads all `batches` and checks that no row is missing."""

    def work() -> None:
        found = sum(len(labels) for _, labels in batches())
        assert found == rows, found

    return work


def scan(files: list[str]) -> Callable[[], Iterator[Any]]:
    def batches() -> Iterator[Any]:
        data = ds.dataset(files)
        columns = [*FEATURES, "y"]
        for batch in data.to_batches(columns=columns, batch_size=BATCH):
            yield batch, batch.column("y")

    return batches


def file_by_file(files: list[str]) -> Iterator[Any]:
    columns = [*FEATURES, "y"]
    for file in files:
        for batch in pq.ParquetFile(file).iter_batches(BATCH, columns=columns):
            yield batch, batch.column("y")


def petastorm_rows_per_second(python: str, folder: Path) -> float:
    script = Path(__file__).with_name("petastorm_reader.py")
    command = [python, str(script), str(folder), str(PETASTORM_ROWS), str(BATCH)]
    return statistics.median(_last_number(command) for _ in range(3))


def _last_number(command: list[str]) -> float:
    """What the command prints last: petastorm itself prints, too."""
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    return float(printed.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--petastorm", help="an interpreter that has petastorm")
    options = parser.parse_args()
    spark = bench_session(memory="2g")
    snapshot = table(spark, f"numbers_{options.rows}", lambda: numbers(options.rows))
    loader = loader_of(spark, snapshot)
    found = snapshot.dataframe(spark).inputFiles()
    files = sorted(urllib.parse.urlparse(file).path for file in found)
    spark.stop()
    works = {
        "pyarrow, scanner": scan(files),
        "pyarrow, iter_batches": lambda: file_by_file(files),
        "loader, NumPy": lambda: loader.batches(0),
        "loader, tf.data": lambda: iter(
            dataset(lambda: loader.batches(0), steps=loader.steps(), width=39, targets=1)
        ),
    }
    print(f"{options.rows:,} rows x {len(FEATURES)}, batches of {BATCH:,}, commit {commit()}")
    for name, batches in works.items():
        seconds = median_seconds(consumed(batches, options.rows))
        print(f"  {name:22} {seconds:6.2f} s {options.rows / seconds:12,.0f} rows/s")
    if options.petastorm:
        per_second = petastorm_rows_per_second(options.petastorm, Path(files[0]).parent)
        print(f"  {'petastorm':22} {'':8} {per_second:12,.0f} rows/s")
    print(f"  wanted: {WANTED:g} of the scan, 50 times petastorm")


if __name__ == "__main__":
    main()
