"""Two writers, conflicts, lost acknowledgements, the same work twice, rows outside their scope."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparkmine.errors import (
    ConfigError,
    DataError,
    FingerprintError,
    LockedError,
    WriteConflictError,
)
from sparkmine.lake import Lake, Table, writing

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def ids(table: Table) -> list[int]:
    return sorted(row["id"] for row in table.snapshot().dataframe(table.lake.spark).collect())


def slow(spark: SparkSession, rows: int, path: Path) -> DataFrame:
    """Rows whose computation says at `path` that it goes on, and waits until `path` is gone."""
    from pyspark.sql import functions as F

    def wait(number: int) -> int:
        if number == 0:
            path.touch()
            deadline = time.monotonic() + 30
            while path.exists() and time.monotonic() < deadline:
                time.sleep(0.02)
        return number

    return spark.range(0, rows, 1, 1).select(F.udf(wait, "long")("id").alias("id"))


class Meddler(threading.Thread):
    """Appends to the table without our lock, each time that a slow write of it goes on."""

    def __init__(self, table: Table, path: Path, times: int) -> None:
        super().__init__()
        self.table, self.path, self.times = table, path, times

    def run(self) -> None:
        spark = self.table.lake.spark
        for number in range(self.times):
            while not self.path.exists():
                time.sleep(0.02)
            rows = spark.range(100 + number, 101 + number, 1, 1)
            rows.write.format("delta").mode("append").save(self.table.path)
            self.path.unlink()


@pytest.mark.slow
def test_a_conflict_is_retried(
    spark: SparkSession, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PAUSE_SECONDS", 0.01)
    table = lake.table("raw/contended")
    table.write(spark.range(1))
    meddler = Meddler(table, tmp_path / "busy", times=1)
    meddler.start()
    frame = slow(spark, 3, tmp_path / "busy")
    thread = threading.Thread(target=lambda: (meddler.join(), _release(tmp_path / "busy", 1)))
    thread.start()
    commit = table.write(frame, metadata={"who": "us"})
    thread.join()
    # Ours came after the other's commit, and replaced it: as one after the other.
    assert commit.version == 2 and (commit.metadata or {})["who"] == "us"
    assert ids(table) == [0, 1, 2]


def _release(path: Path, times: int) -> None:
    for _ in range(times):
        deadline = time.monotonic() + 30
        while not path.exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        path.unlink(missing_ok=True)


@pytest.mark.slow
def test_conflicts_without_end_are_an_error(
    spark: SparkSession, lake: Lake, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(writing, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr(writing, "ATTEMPTS", 2)
    table = lake.table("raw/contended")
    table.write(spark.range(1))
    meddler = Meddler(table, tmp_path / "busy", times=2)
    meddler.start()
    with pytest.raises(WriteConflictError, match=r"raw/contended.*2 times.*CONCURRENT_APPEND"):
        table.write(slow(spark, 3, tmp_path / "busy"))
    meddler.join()
    assert ids(table) == [0, 100, 101]


def test_the_same_work_is_recognised_and_other_rows_are_an_error(
    spark: SparkSession, lake: Lake
) -> None:
    table = lake.table("raw/once")
    first = table.write(spark.range(5), application="stage:f1", since=-1)
    # Another run decided before the first one had committed: it finds the work done.
    again = table.write(spark.range(5).repartition(3), application="stage:f1", since=-1)
    assert (again.version, again.metadata) == (first.version, first.metadata)
    with pytest.raises(FingerprintError, match=r"version 0 .*1 rows only there, 0 only here"):
        table.write(spark.range(4), application="stage:f1", since=-1)
    assert ids(table) == [0, 1, 2, 3, 4] and table.snapshot().version == 0
    # Who knew of it means to do it again, as --force does; other work is no matter.
    assert table.write(spark.range(4), application="stage:f1", since=0).version == 1
    assert table.write(spark.range(3), application="stage:f2", since=1).version == 2
    with pytest.raises(ConfigError, match="appends"):
        table.write(spark.range(3), "append", application="stage:f3", since=2)


@pytest.mark.slow
def test_recognised_within_its_scope(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/scoped")

    def day(name: str, rows: int, since: int) -> int:
        frame = spark.range(rows).selectExpr("id", f"'{name}' as day")
        scope: dict[str, Any] = {"replace_where": f"day = '{name}'", "partition_by": ["day"]}
        return table.write(
            frame, "replace_where", application=f"s:{name}", since=since, **scope
        ).version

    assert [day("a", 2, -1), day("b", 3, 0), day("a", 2, -1)] == [0, 1, 0]
    with pytest.raises(FingerprintError):
        day("b", 2, 0)


def test_a_lost_acknowledgement_is_recognised(
    spark: SparkSession, lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The call fails after Delta has committed, as when the connection to the JVM breaks."""
    from pyspark.sql import DataFrameWriter

    table = lake.table("raw/lost")
    table.write(spark.range(2))
    save = DataFrameWriter.save

    def lost(writer: DataFrameWriter, path: str) -> None:
        save(writer, path)
        raise ConnectionResetError("no answer")

    monkeypatch.setattr(DataFrameWriter, "save", lost)
    commit = table.write(spark.range(3), "append", metadata={"who": "us"})
    monkeypatch.setattr(DataFrameWriter, "save", save)
    assert commit.version == 1 and (commit.metadata or {})["who"] == "us"
    assert ids(table) == [0, 0, 1, 1, 2]

    def refused(writer: DataFrameWriter, path: str) -> None:
        raise ConnectionResetError("no answer")

    monkeypatch.setattr(DataFrameWriter, "save", refused)
    with pytest.raises(ConnectionResetError):
        table.write(spark.range(3), "append")
    assert table.snapshot().version == 1


@pytest.mark.parametrize(
    ("existing", "stray"),
    [(False, "null"), pytest.param(True, "'2026-01-02'", marks=pytest.mark.slow)],
)
def test_rows_outside_their_scope_are_an_error(
    spark: SparkSession, lake: Lake, existing: bool, stray: str
) -> None:
    table = lake.table("raw/days")
    options: dict[str, Any] = {
        "replace_where": "day = '2026-01-01'",
        "partition_by": ["day"],
    }
    if existing:
        table.write(spark.sql("select 7L as id, '2026-01-01' as day"), "replace_where", **options)
    frame = spark.sql(f"select id, if(id = 3, {stray}, '2026-01-01') as day from range(5)")
    with pytest.raises(DataError, match=r"raw/days: a row .* outside the condition"):
        table.write(frame, "replace_where", **options)
    assert table.exists() == existing
    if existing:
        assert ids(table) == [7]


def test_partitions_get_one_file_each(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/weeks")
    frame = spark.range(0, 1000, 1, 4).selectExpr("id", "cast(id % 5 as int) as week")
    table.write(frame, partition_by=["week"])
    snapshot = table.snapshot()
    assert len(snapshot.files) == 5 and snapshot.rows == 1000


@pytest.mark.slow
def test_a_writer_waits_for_the_lock_and_then_says_who_has_it(
    spark: SparkSession, lake: Lake
) -> None:
    table = lake.table("raw/locked")
    table.write(spark.range(1))
    held, release = threading.Event(), threading.Event()

    def hold() -> None:
        with lake.locked("raw/locked", "the test"):
            held.set()
            release.wait(30)

    holder = threading.Thread(target=hold)
    holder.start()
    held.wait(30)
    try:
        with (
            pytest.raises(LockedError, match="table raw/locked"),
            lake.locked("raw/locked", "table raw/locked", wait=0.1),
        ):
            pass
        threading.Timer(0.3, release.set).start()
        assert table.write(spark.range(2)).version == 1  # it waited
    finally:
        release.set()
        holder.join()


WRITER = """
import json, sys
from sparkmine.lake import Lake
from sparkmine.sessions import session

name, root, rounds = sys.argv[1], sys.argv[2], int(sys.argv[3])
spark = session(name, conf={"spark.master": "local[1]", "spark.driver.memory": "1g"},
                log_file=f"{root}.{name}.log")
lake = Lake(root, spark)
print("ready", flush=True)
sys.stdin.readline()
for number in range(rounds):
    frame = spark.sql(f"select '{name}' as writer, {number} as round").coalesce(1)
    commit = lake.table("raw/both").write(frame, "append", metadata={"writer": name})
    print(json.dumps([number, commit.version]), flush=True)
spark.stop()
"""


@pytest.mark.slow
def test_fifty_rounds_of_two_processes_lose_nothing(
    spark: SparkSession, lake: Lake, tmp_path: Path
) -> None:
    rounds = 50
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", WRITER, name, lake.root, str(rounds)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for name in ("one", "two")
    ]
    try:
        for writer in writers:
            assert writer.stdout is not None and writer.stdout.readline() == "ready\n"
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        said = [writer.communicate(timeout=500)[0] for writer in writers]
    finally:
        for writer in writers:
            writer.kill()
            writer.wait(30)
    assert [writer.returncode for writer in writers] == [0, 0]
    table = lake.table("raw/both")
    rows = table.snapshot().dataframe(spark).collect()
    expected = sorted((name, number) for name in ("one", "two") for number in range(rounds))
    assert sorted((row["writer"], row["round"]) for row in rows) == expected
    # Each was told its own version, and they took turns.
    told = [json.loads(line)[1] for text in said for line in text.splitlines()]
    assert sorted(told) == list(range(2 * rounds))
    order = [(commit.metadata or {})["writer"] for commit in table.commits()]
    assert sum(a != b for a, b in itertools.pairwise(order)) >= 5
