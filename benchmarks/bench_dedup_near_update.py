"""A batch of 1 % more documents, against finding all near copies again.

The documents are those of bench_dedup_near.py. Wanted at 2 million: at most 5 % of a full run.

    python benchmarks/bench_dedup_near_update.py [--rows 2000000]
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench_dedup_near import THRESHOLD, documents
from common import FOLDER, bench_session, commit, table

import sparkmine as sm
from sparkmine.dedup import NearDuplicateTables
from sparkmine.dedup.near import Matching, find

WARM, RUNS = 2, 3


def seconds(work: Callable[[], Any]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=2_000_000)
    parser.add_argument("--runs", type=int, default=1, help="of a full run")
    parser.add_argument("--memory", default="4g", help="the driver's, which runs the tasks too")
    options = parser.parse_args()
    spark = bench_session(options.memory)
    lake = sm.Lake(FOLDER / "lake", spark)
    rows = options.rows
    df = table(spark, f"texts_{rows}", lambda: documents(rows)).dataframe(spark)
    # Copies are near in id. A batch has a table of its own, as what came in a night would.
    one = rows // 100
    begin = rows - (WARM + RUNS) * one
    shutil.rmtree(Path(lake.root) / "near", ignore_errors=True)
    kept = NearDuplicateTables(lake, "near/bench", threshold=THRESHOLD)
    batches = []
    for number in range(WARM + RUNS):
        low = begin + number * one
        night = lake.table(f"nights/night_{number}")
        night.write(df.where(f"id >= {low} and id < {low + one}"))
        batches.append(night.snapshot())
    initial = seconds(lambda: kept.update(df.where(f"id < {begin}")))
    updates = [seconds(partial(kept.update, batch)) for batch in batches]
    matching = Matching.of(THRESHOLD, "word", 3, 0.99)
    full = statistics.median(
        seconds(lambda: find(df, "id", "text", matching)) for _ in range(options.runs)
    )
    update = statistics.median(updates[WARM:])
    print(f"1 % more of {rows:,} documents, commit {commit()}")
    print(f"  first update          {initial:7.2f} s\n  full run              {full:7.2f} s")
    print(f"  updates               {', '.join(f'{found:.2f}' for found in updates)} s")
    print(f"  median of the last {RUNS}  {update:7.2f} s, {update / full:.1%} of it (wanted 5 %)")


if __name__ == "__main__":
    main()
