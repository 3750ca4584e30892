"""Snapshots, pruning, direct scans against Spark's reader, commits, locks and damage."""

from __future__ import annotations

import copy
import datetime
import multiprocessing
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from sparkmine.errors import (
    LockedError,
    RecipeError,
    TableDamagedError,
    TableMissingError,
    VersionError,
    WarehouseError,
)
from sparkmine.lake import Lake, Snapshot
from sparkmine.lake.lock import lock
from sparkmine.lake.scan import DirectScanRefused, Scan
from sparkmine.lake.table import check_writable
from sparkmine.mine import RulesModel

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = """
    select id, id % 7 as g, cast(id as double) / 4 as x,
      case when id % 5 = 0 then null when id % 5 = 1 then 'a/b' else concat('p', id % 5) end as p,
      date_add(date'2017-01-01', cast(id % 3 as int)) as d,
      timestamp'2017-01-01 00:00:00' + make_interval(0, 0, 0, 0, cast(id as int)) as t,
      timestamp_ntz'1969-12-31 23:59:59' as n,
      cast(id as decimal(20, 3)) / 8 as m, array(cast(id as double), null) as v,
      named_struct('k', id, 'w', 'z') as s
    from range(1000)
"""


def sorted_rows(table: pa.Table) -> list[dict[str, Any]]:
    return sorted(table.to_pylist(), key=lambda row: row["id"])


def direct(snapshot: Snapshot, columns: list[str] | None = None) -> pa.Table:
    scan = pickle.loads(pickle.dumps(Scan.of(snapshot, columns)))
    blocks = scan.blocks()
    tables = list(scan.read_many(blocks))
    assert [scan.count(block) for block in blocks] == [table.num_rows for table in tables]
    for block, whole in zip(blocks, tables, strict=True):  # row groups larger than the limit
        pieces = list(scan.read_many([block], limit=1000))
        assert pa.concat_tables(pieces).equals(whole) and scan.read(block).equals(whole)
        assert len(pieces) > 1 or block.rows < 100
    return pa.concat_tables(tables)


def test_direct_scan_equals_sparks_reader(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/all_types")
    table.write(spark.sql(ROWS), partition_by=["p", "d"])
    snapshot = table.snapshot()
    for part in (
        snapshot,
        snapshot.where("p is null"),
        snapshot.where("p = 'a/b' and d >= '2017-01-02'"),
        snapshot.where("x > 100 and p <> 'p3'"),
        snapshot.where("x > 200").where("x <= 210.5"),
        snapshot.where("isnan(x) or g in (1, 2)"),
    ):
        native = part.dataframe(spark).toArrow()
        found = direct(part)
        assert found.num_rows == native.num_rows > 0
        assert sorted_rows(found) == sorted_rows(native)
        if part.rows is not None:
            assert part.rows == found.num_rows
    only = direct(snapshot.where("x > 100"), ["d", "id"])
    assert only.schema.names == ["d", "id"] and only.num_rows == 599


def test_where_prunes_files(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/pruned")
    frame = spark.sql("select id, cast(id div 100 as int) as week, id * 1.0d as x from range(1000)")
    table.write(frame, partition_by=["week"])
    snapshot = table.snapshot()
    assert snapshot.rows == 1000
    weeks = snapshot.where("week between 2 and 3")
    assert {file.partition["week"] for file in weeks.files} == {2, 3} and weeks.rows == 200
    by_statistics = snapshot.where("id >= 950")
    assert {file.partition["week"] for file in by_statistics.files} == {9}
    assert by_statistics.rows is None and by_statistics.dataframe(spark).count() == 50
    with pytest.raises(RecipeError, match="'nope'"):
        snapshot.where("nope = 1")


def test_a_snapshot_says_that_it_is_no_dataframe() -> None:
    snapshot = Snapshot("orders", 0, '{"type": "struct", "fields": []}', (), frozenset(), ())
    with pytest.raises(AttributeError, match=r"no 'sparkSession', .* snapshot\.dataframe\(spark\)"):
        RulesModel(basket="b", item="i", baskets=0, itemsets=0, rules=None).transform(snapshot)  # type: ignore[arg-type]
    assert not hasattr(snapshot, "show")
    assert copy.deepcopy(snapshot) == pickle.loads(pickle.dumps(snapshot)) == snapshot


def test_versions_are_pinned(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/versions")
    first = table.write(spark.range(10), metadata={"who": "first"})
    second = table.write(spark.range(5), "append")
    assert (first.version, first.rows, second.version) == (0, 10, 1)
    assert first.metadata is not None and first.metadata["who"] == "first"
    old, new = table.snapshot(0), table.snapshot()
    assert (old.rows, new.rows) == (10, 15)
    assert old.dataframe(spark).count() == 10 and direct(old).num_rows == 10
    with pytest.raises(VersionError, match="no version 7"):
        table.snapshot(7)
    with pytest.raises(TableMissingError):
        lake.table("raw/absent").snapshot()


def test_a_column_added_later_is_null_in_older_files(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/grown")
    table.write(spark.range(3))
    frame = spark.sql("select 10L as id, 'new' as extra")
    frame.write.format("delta").mode("append").option("mergeSchema", "true").save(table.path)
    found = sorted_rows(direct(table.snapshot()))
    assert [row["extra"] for row in found] == [None, None, None, "new"]


def test_replace_where_touches_its_partition_only(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/days")
    for day, rows in (("2026-01-01", 3), ("2026-01-02", 4), ("2026-01-01", 5)):
        frame = spark.range(rows).selectExpr("id", f"date'{day}' as day")
        table.write(frame, "replace_where", replace_where=f"day = '{day}'", partition_by=["day"])
    counts = {
        row["day"]: row["count"]
        for row in table.snapshot().dataframe(spark).groupBy("day").count().collect()
    }
    assert counts == {datetime.date(2026, 1, 1): 5, datetime.date(2026, 1, 2): 4}
    none = frame.where("id < 0")
    assert table.write(none, "replace_where", replace_where="day = '2026-01-02'").rows == 0
    assert table.snapshot().rows == 5


def test_deletion_vectors_and_maps_go_through_spark(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/deleted")
    table.write(spark.sql("select id, map('k', id) as m from range(100)").coalesce(1))
    with pytest.raises(DirectScanRefused, match="map"):
        Scan.of(table.snapshot())
    spark.sql(
        f"alter table delta.`{table.path}` set tblproperties ('delta.enableDeletionVectors' = true)"
    )
    spark.sql(f"delete from delta.`{table.path}` where id < 10")
    with pytest.raises(DirectScanRefused, match="deletion"):
        Scan.of(table.snapshot(), ["id"])
    assert table.snapshot().dataframe(spark).count() == 90


def damage_data(path: Path) -> Path:
    file = next(path.glob("*.parquet"))
    file.write_bytes(file.read_bytes()[:100])
    return file


def delete_data(path: Path) -> Path:
    file = next(path.glob("*.parquet"))
    file.unlink()
    return file


@pytest.mark.parametrize("damage", [damage_data, delete_data])
def test_damage_names_the_file(
    spark: SparkSession, lake: Lake, damage: Callable[[Path], Path]
) -> None:
    table = lake.table("raw/damaged")
    table.write(spark.range(100).coalesce(1))
    file = damage(Path(table.path))
    snapshot = table.snapshot()
    with pytest.raises(TableDamagedError, match=file.name):
        direct(snapshot)
    with pytest.raises(TableDamagedError, match="damaged"):
        lake.table("raw/copy").write(snapshot.dataframe(spark))


def test_a_truncated_log_is_damage(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/log")
    table.write(spark.range(3))
    table.write(spark.range(4))
    entry = Path(table.path) / "_delta_log" / f"{1:020}.json"
    entry.write_text(entry.read_text()[:40])
    for checksum in entry.parent.glob("*.crc"):
        checksum.unlink()
    spark._jvm.org.apache.spark.sql.delta.DeltaLog.clearCache()  # type: ignore[union-attr]
    with pytest.raises(TableDamagedError):
        table.snapshot()


def test_an_unwritable_warehouse_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(WarehouseError, match="cannot be written"):
        check_writable(tmp_path / "file" / "warehouse")


def _hold(path: Path, held: Any, release: Any) -> None:
    with lock(path, "the test"):
        held.set()
        release.wait(30)


def test_a_lock_holds_between_processes_and_ends_with_its_process(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    held, release = context.Event(), context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "a.lock", held, release))
    process.start()
    try:
        assert held.wait(30)
        with pytest.raises(LockedError, match=str(process.pid)), lock(tmp_path / "a.lock", "it"):
            pass
        process.kill()
        process.join(30)
        with lock(tmp_path / "a.lock", "it", wait=5):
            pass
    finally:
        process.kill()
        process.join(30)
