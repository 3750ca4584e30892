"""Batches from a real table with uneven files, without TensorFlow."""

from __future__ import annotations

import dataclasses
import functools
import pickle
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as f

from sparkmine.errors import ConfigError, DataError
from sparkmine.lake import Lake, Snapshot
from sparkmine.train import source
from sparkmine.train.job import Job
from sparkmine.train.layout import Feature, Layout
from sparkmine.train.loader import Blocks, Loader, prefetched, validation_batches
from sparkmine.train.order import Order, window_rows
from sparkmine.train.source import Source

COLUMNS = ("id", "twice", "y")


@pytest.fixture(scope="module")
def uneven(tmp_path_factory: pytest.TempPathFactory, spark: SparkSession) -> Snapshot:
    """1,003 rows in files of 1, 700, 2 and 300 rows; `twice` holds [2 id, id mod 7]."""
    table = Lake(tmp_path_factory.mktemp("loader"), spark).table("uneven")
    for low, high in ((0, 1), (1, 701), (701, 703), (703, 1003)):
        rows = spark.range(low, high, 1, 1).select(
            f.col("id").cast("int"),
            f.array(f.col("id") * 2.0, (f.col("id") % 7).cast("double")).alias("twice"),
            (f.col("id") % 2).cast("boolean").alias("y"),
            (f.col("id") < 500).alias("early"),
        )
        table.write(rows, "append")
    return table.snapshot()


def blocks_of(given: Source, **options: int) -> Blocks:
    return Blocks(given, source.layout(given, COLUMNS[:2], ("y",)), **options)


@pytest.mark.parametrize("ranks", [1, 2, 3])
@pytest.mark.parametrize("cache_bytes", [0, 1 << 20])
def test_an_epoch_covers_the_table(
    uneven: Snapshot, spark: SparkSession, ranks: int, cache_bytes: int
) -> None:
    with source.opened(uneven, COLUMNS, spark) as given:
        assert sorted(given.rows) == [1, 2, 300, 700]
        order = Order(rows=given.rows, ranks=ranks, seed=1, window_rows=300)
        loaders = [
            Loader(blocks_of(given, cache_bytes=cache_bytes), order, rank=rank, batch_size=64)
            for rank in range(ranks)
        ]
        orders = []
        for epoch in range(2):
            seen: list[int] = []
            for loader in loaders:
                batches = list(loader.batches(epoch))
                sizes = [len(targets) for _, targets in batches]
                assert len(sizes) == loader.steps()
                assert set(sizes[:-1]) <= {64}
                assert sum(sizes) == 1003 // ranks
                for features, targets in batches:
                    ids = features[:, 0]
                    np.testing.assert_array_equal(features[:, 1], 2 * ids)
                    np.testing.assert_array_equal(features[:, 2], ids % 7)
                    np.testing.assert_array_equal(targets, ids[:, None] % 2)
                    seen.extend(ids.astype(int).tolist())
            assert len(set(seen)) == len(seen) == 1003 - 1003 % ranks
            orders.append(seen)
        assert orders[0] != orders[1]


def test_a_predicate_that_cuts_files(uneven: Snapshot, spark: SparkSession) -> None:
    with source.opened(uneven.where("early and id > 10"), COLUMNS, spark) as given:
        assert given.total == 489
        seen = [
            int(value)
            for rank in range(3)
            for features, _ in validation_batches(
                blocks_of(given), given.rows, ranks=3, rank=rank, batch_size=50
            )
            for value in features[:, 0]
        ]
    assert sorted(seen) == list(range(11, 500))


def test_a_dataframe_goes_through_a_scratch_table(
    uneven: Snapshot, spark: SparkSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    frame = uneven.dataframe(spark)
    with source.opened(frame, COLUMNS, spark, digest=True) as given:
        assert given.total == 1003
        digest = given.identity["digest"]
        path = Path(given.scan.snapshot.path)
        assert path.is_dir()
    assert not path.exists()
    assert "removed the scratch table" in caplog.text
    wanted = frame.select(*COLUMNS)
    assert source.digest_of(wanted.repartition(3)) == digest
    assert source.digest_of(wanted.withColumn("y", f.col("id") == 4)) != digest


SPOILT = [
    ("id", "null", r"null, NaN or infinite features \(id\)"),
    ("twice", "array(double('NaN'), 1D)", r"infinite features \(twice\)"),
    ("y", "null", "y: 1 labels are null"),
    ("y", "2", "y: labels must be whole numbers from 0 to 1, found 0 to 2"),
]


@pytest.fixture(scope="module")
def spoilt(uneven: Snapshot, spark: SparkSession) -> Snapshot:
    """Three good rows and one bad row for every case, told apart by the column `spoilt`."""
    good = uneven.dataframe(spark).where("id in (2, 3, 4)").select(*COLUMNS)
    good = good.withColumn("y", f.col("y").cast("int"))
    cases = []
    for column, value, _ in SPOILT:
        bad = f.expr(value).cast(good.schema[column].dataType)
        bad = f.when(f.col("id") == 4, bad).otherwise(f.col(column))
        cases.append(
            good.withColumn(column, bad).withColumn("spoilt", f.lit(f"{column} {value[0]}"))
        )
    table = Lake(Path(uneven.path).parent, spark).table("spoilt")
    table.write(functools.reduce(DataFrame.union, cases).coalesce(1))
    return table.snapshot()


@pytest.mark.parametrize(("column", "value", "text"), SPOILT)
def test_unsuitable_values_are_named(
    spoilt: Snapshot, spark: SparkSession, column: str, value: str, text: str
) -> None:
    only = spoilt.where(f"spoilt = '{column} {value[0]}'")
    with source.opened(only, COLUMNS, spark) as given:
        order = Order(rows=given.rows, ranks=1, seed=0)
        loader = Loader(blocks_of(given, classes=2), order, rank=0, batch_size=1)
        with pytest.raises(DataError, match=text):
            list(loader.batches(0))


def peak_megabytes(
    given: Source, folder: Path, *, window_rows: int, batch_size: int, warm: int
) -> float:
    """How much a fresh process grows at most while it reads an epoch, after `warm` batches."""
    (folder / "source").write_bytes(pickle.dumps(given))
    code = f"""
import pickle, resource
from sparkmine.train import source
from sparkmine.train.loader import Blocks, Loader
from sparkmine.train.order import Order
given = pickle.loads(open({str(folder / "source")!r}, "rb").read())
order = Order(rows=given.rows, ranks=1, seed=0, window_rows={window_rows})
layout = source.layout(given, given.scan.schema.names[:-1], given.scan.schema.names[-1:])
loader = Loader(Blocks(given, layout, cache_bytes=0), order, rank=0, batch_size={batch_size})
batches = loader.batches(0)
for _ in range({warm}):
    next(batches)
early = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
rows = {warm * batch_size} + sum(len(labels) for _, labels in batches)
assert rows == given.total
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - early) / 1024)
"""
    command = [sys.executable, "-c", code]
    return float(subprocess.run(command, capture_output=True, check=True, timeout=120).stdout)


@pytest.mark.slow
def test_memory_does_not_grow_with_the_table(spark: SparkSession, tmp_path: Path) -> None:
    table = Lake(tmp_path, spark).table("wide")
    names = [f"f{number}" for number in range(30)]
    columns = [f.rand(number).alias(name) for number, name in enumerate(names)]
    rows = spark.range(0, 400_000, 1, 20).select(*columns, (f.col("id") % 2).alias("y"))
    table.write(rows)  # 96 MB of doubles in 20 files
    with source.opened(table.snapshot(), (*names, "y"), spark) as given:
        grown = peak_megabytes(given, tmp_path, window_rows=20_000, batch_size=1000, warm=30)
    assert grown < 24  # five of the 20 blocks


def test_memory_does_not_grow_with_the_width(spark: SparkSession, tmp_path: Path) -> None:
    """1,600 rows of 20,000 numbers are 128 MB; a window of 4 MB is 52 rows of them."""
    wide = f.array_repeat(f.col("id").cast("float"), 20_000).alias("x")
    table = Lake(tmp_path, spark).table("wide")
    table.write(spark.range(0, 1600, 1, 40).select(wide, (f.col("id") % 2).alias("y")))
    with source.opened(table.snapshot(), ("x", "y"), spark) as given:
        row = source.layout(given, ["x"], ["y"]).row_bytes
        rows = window_rows(row, 10, 4 << 20)
        assert (row, rows) == (80_004, 52)
        grown = peak_megabytes(given, tmp_path, window_rows=rows, batch_size=10, warm=0)
    assert grown < 64  # half of the table; five windows of two files are 32 MB


@pytest.mark.parametrize(
    ("width", "batch_size", "rows"),
    [
        (39, 4096, 65_536),  # 160 bytes a row
        (511, 4096, 65_536),  # 2 KiB a row fill 128 MiB
        (224 * 224 * 3, 64, 222),  # 602,116 bytes a row
        (224 * 224 * 3, 1024, 2048),  # two batches
        (39, 50_000, 100_000),
    ],
)
def test_the_window_of_a_fit(width: int, batch_size: int, rows: int) -> None:
    """The driver says it, for all ranks: `Job.order` knows nothing of a rank."""
    layout = Layout(columns=(Feature("x", length=width),), labels=("y",))
    job = {field.name: None for field in dataclasses.fields(Job)}
    given = Source(scan=None, blocks=(), rows=(5,), identity={})  # type: ignore[arg-type]
    told = {"layout": layout, "train": given, "ranks": 2, "seed": 0, "batch_size": batch_size}
    assert Job(**{**job, **told}).order.window_rows == rows  # type: ignore[arg-type]
    assert Job(**{**job, **told, "window_rows": 7}).order.window_rows == 7  # type: ignore[arg-type]


def test_a_cluster_needs_a_scratch_folder(spark: SparkSession) -> None:
    frame = spark.range(3)

    class Elsewhere:
        master = "spark://host:7077"

    class Session:
        sparkContext = Elsewhere()

    with (
        pytest.raises(ConfigError, match="needs scratch="),
        source.opened(frame, ("id",), Session()),  # type: ignore[arg-type]
    ):
        pass


def test_prefetching_stops_when_the_reader_does() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(1000):
            made.append(number)
            yield number

    reader = prefetched(items(), depth=1)
    assert [next(reader), next(reader)] == [0, 1]
    reader.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name == "sparkmine-loader":
            thread.join(timeout=5)
    assert len(made) <= 5


def test_prefetching_raises_where_it_is_read() -> None:
    def items() -> Iterator[pa.Table]:
        yield pa.table({})
        raise OSError("the disk is gone")

    reader = prefetched(items(), depth=1)
    next(reader)
    with pytest.raises(OSError, match="the disk is gone"):
        next(reader)


def test_the_package_imports_no_framework() -> None:
    code = (
        "import sys, sparkmine.train, sparkmine.train.task, sparkmine.train.loader\n"
        "heavy = {'tensorflow', 'keras', 'horovod', 'pyspark.ml'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
