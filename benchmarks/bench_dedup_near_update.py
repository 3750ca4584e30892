"""A batch of 1 % more documents, against finding all near copies again.

The documents are those of bench_dedup_near.py. Wanted at 2 million: at most 5 % of a full run.

    python benchmarks/bench_dedup_near_update.py [--rows 2000000]
"""

from __future__ import annotations

import argparse
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from bench_dedup_near import THRESHOLD, documents
from common import FOLDER, bench_session, commit, table

import sparkmine as sm
from sparkmine.dedup import NearDuplicateTables
from sparkmine.dedup.near import Matching, find


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--memory", default="4g", help="the driver's, which runs the tasks too")
    options = parser.parse_args()
    spark = bench_session(options.memory)
    lake = sm.Lake(FOLDER / "lake", spark)
    rows = options.rows
    df = table(spark, f"texts_{rows}", lambda: documents(rows)).dataframe(spark)
    # Two batches, because the first one warms what updates need; copies are near in id.
    first, second = rows - rows // 50, rows - rows // 100
    shutil.rmtree(Path(lake.root) / "near", ignore_errors=True)
    kept = NearDuplicateTables(lake, "near/bench", threshold=THRESHOLD)
    initial = seconds(lambda: kept.update(df.where(f"id < {first}")))
    kept.update(df.where(f"id >= {first} and id < {second}"))
    update = seconds(lambda: kept.update(df.where(f"id >= {second}")))
    full = seconds(lambda: find(df, "id", "text", Matching.of(THRESHOLD, "word", 3, 0.99)))
    print(f"1 % more of {rows:,} documents, commit {commit()}")
    print(f"  first update of 98 %  {initial:7.2f} s\n  full run              {full:7.2f} s")
    print(f"  update                {update:7.2f} s, {update / full:.1%} of it (wanted 5 %)")


if __name__ == "__main__":
    main()
