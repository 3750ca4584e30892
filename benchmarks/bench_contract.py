"""A contract of 20 rules over 20 columns: validated alone, and with the two tables it splits.

5 floats, 6 integers, 7 texts, a date and a moment, 10 million rows, of which one in a thousand
breaks a rule.

Validation only, which counts the rows that break each rule and writes nothing:

- `validate`: ours, `contract.validate(snapshot)`, one scan;
- `counts`: the same rules as one Spark job each;
- Great Expectations, by --great-expectations PYTHON, which has it and pyspark in its own
  environment. Wanted of both: at least 3 times our time.

Validation and both tables:

- `stage`: ours, what a `clean` stage does: a scan that counts and writes the quarantine with every
  reason, and a scan that writes the clean table;
- `jobs`: the jobs of `counts`, then one job for each table. The quarantine of these has rows
  without reasons, which is less work. Both write the clean table, so no factor is wanted here;
- `copy`: the Delta table copied, the floor of what writing it costs. Wanted: ours at most 2.2 times
  as long.

    python benchmarks/bench_contract.py [--rows 10000000] [--runs 3] [--only validate counts ...]
"""

from __future__ import annotations

import argparse
import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from common import bench_session, commit, median_seconds, sizes, table

from sparkmine import Lake
from sparkmine.clean import ColumnRule, Condition, Contract, quarantine
from sparkmine.clean.rules import DROP, FAIL, QUARANTINE, broken
from sparkmine.clean.table_rules import measures

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

SHOPS = [f"shop {i}" for i in range(200)]


def orders(rows: int, seed: int = 5) -> Iterator[pa.Table]:
    """Rows whose values keep the contract, but for one in a thousand."""
    rng = np.random.default_rng(seed)
    first = 0
    for size in sizes(rows):
        columns: dict[str, pa.Array] = {}
        for i in range(5):
            values = rng.gamma(2.0, 20.0 * (i + 1), size)
            values[rng.random(size) < 2e-4] = -1.0
            columns[f"f{i}"] = pa.array(values)
        columns["id"] = pa.array(np.arange(first, first + size))
        for i in range(5):
            columns[f"i{i}"] = pa.array(rng.integers(0, 10 ** (i + 2), size))
        for i in range(4):
            picked = rng.integers(0, 10 ** (i + 2), size)
            columns[f"s{i}"] = pa.array([f"item-{n:07}" for n in picked])
        shops = pa.array(SHOPS).take(pa.array(rng.integers(0, len(SHOPS), size)))
        columns["shop"] = shops
        names = rng.integers(0, 10**6, size)
        columns["mail"] = pa.array([f"user{n}@example.org" for n in names])
        columns["note"] = pa.array([f"order of {n}" for n in names], mask=rng.random(size) < 0.3)
        columns["day"] = pa.array(
            (18000 + rng.integers(0, 700, size)).astype(np.int32), pa.int32()
        ).cast(pa.date32())
        columns["at"] = pa.array(
            1_600_000_000_000_000 + rng.integers(0, 10**13, size), pa.timestamp("us", tz="UTC")
        )
        first += size
        yield pa.table(columns)


CONTRACT = Contract(
    columns={
        **{f"f{i}": ColumnRule(minimum=0) for i in range(5)},  # 5 rules
        "id": ColumnRule(not_null=True, minimum=0),  # 7
        "i0": ColumnRule(minimum=0, maximum=100),  # 9
        "i1": ColumnRule(maximum=1000),  # 10
        "s0": ColumnRule(pattern=r"item-\d+", min_length=5),  # 12
        "s1": ColumnRule(max_length=12),  # 13
        "shop": ColumnRule(allowed=SHOPS),  # 14
        "mail": ColumnRule(not_null=True, pattern=r"[^@\s]+@[^@\s]+\.[a-z]+"),  # 16
        "note": ColumnRule(max_length=40),  # 17
        "at": ColumnRule(not_null=True),  # 18
    },
    conditions={
        "f0 and f1 fit": Condition(holds="f0 + f1 < 2000"),  # 19
        "after 2019": Condition(holds="year(day) >= 2019"),  # 20
    },
)


def validate(orders: Snapshot, lake: Lake) -> None:
    CONTRACT.validate(orders, spark=lake.spark)


def counts(orders: Snapshot, lake: Lake) -> None:
    df = orders.dataframe(lake.spark)
    for check in CONTRACT.checks():
        df.where(broken([check])).count()


def stage(orders: Snapshot, lake: Lake) -> None:
    from pyspark.sql import functions as F

    df = orders.dataframe(lake.spark)
    checked = CONTRACT.check(df)
    quarantine(
        checked.rows,
        lake.table("bench/quarantine"),
        run_id="r",
        stage="s",
        fingerprint="f",
        source=F.lit("orders@0"),
        row={name: name for name in df.columns},
        reasons=checked.reasons,
        bad=broken(checked.of(FAIL, QUARANTINE)),
        measures=measures(CONTRACT, ~broken(checked.of(FAIL, QUARANTINE, DROP)), {}),
    )
    lake.table("bench/clean").write(checked.kept)


def jobs(orders: Snapshot, lake: Lake) -> None:
    counts(orders, lake)
    df, bad = orders.dataframe(lake.spark), broken(CONTRACT.checks())
    lake.table("bench/bad").write(df.where(bad))
    lake.table("bench/clean").write(df.where(~bad))


def copy(orders: Snapshot, lake: Lake) -> None:
    lake.table("bench/copy").write(orders.dataframe(lake.spark))


WORK: dict[str, Callable[[Snapshot, Lake], None]] = {
    "validate": validate,
    "counts": counts,
    "stage": stage,
    "jobs": jobs,
    "copy": copy,
}


def warm_up(spark: SparkSession, lake: Lake, names: list[str]) -> None:
    """Compile what a first run compiles, on few rows."""
    few = table(spark, "orders_100000", lambda: orders(100_000))
    for name in names:
        WORK[name](few, lake)


def great_expectations(python: str, folder: str, rows: int) -> float:
    """Seconds of the rules there, once; it has its own Spark, started before the clock."""
    script = Path(__file__).with_name("great_expectations_rules.py")
    done = subprocess.run(
        [python, str(script), folder, str(rows)], capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(done.stderr[-2000:])
    return float(json.loads(done.stdout.splitlines()[-1])["seconds"])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=10_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=WORK, default=list(WORK))
    parser.add_argument("--great-expectations", metavar="PYTHON")
    options = parser.parse_args()
    spark = bench_session("4g")
    lake = Lake(Path(__file__).parents[1] / "build" / "bench" / "lake", spark)
    snapshot = table(spark, f"orders_{options.rows}", lambda: orders(options.rows))
    assert len(CONTRACT.checks()) == 20 and len(snapshot.schema.names) == 20
    warm_up(spark, lake, options.only)
    print(f"a contract of 20 rules, {options.rows:,} rows, 20 columns, commit {commit()}")
    found = {}
    for name in options.only:
        found[name] = median_seconds(lambda w=WORK[name]: w(snapshot, lake), options.runs, warm=0)
        print(f"  {name:8} {found[name]:8.2f} s", flush=True)
    if options.great_expectations:
        name = "great expectations"
        found[name] = great_expectations(options.great_expectations, snapshot.path, options.rows)
        print(f"  {name} {found[name]:.2f} s", flush=True)
    for ours, peer, wanted in (
        ("validate", "counts", " (wanted 3)"),
        ("validate", "great expectations", " (wanted 3)"),
        ("stage", "jobs", ""),
    ):
        if ours in found and peer in found:
            print(f"  {peer}: {found[peer] / found[ours]:.1f} times {ours}{wanted}")
    if "stage" in found and "copy" in found:
        print(f"  stage: {found['stage'] / found['copy']:.2f} times the copy (wanted at most 2.2)")
    shutil.rmtree(Path(lake.root) / "bench", ignore_errors=True)


if __name__ == "__main__":
    main()
