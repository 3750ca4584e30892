"""The small pipeline by spark-submit on a standalone cluster, training on two executors, gives the
same tables as local mode."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparkmine.lake import Lake, ledger
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from conftest import Cluster
    from pyspark.sql import SparkSession

# Columns that name a run; network weights and what is made of them depend on no executor either,
# because both sides train on two ranks.
RUN_COLUMNS = {"run_id", "sha256", "bytes", "file", "fingerprint"}


def content(spark: SparkSession, lake: Lake) -> dict[str, list[tuple[Any, ...]]]:
    found = {}
    for name in lake.tables():
        if not name.startswith("_"):
            frame = lake.table(name).snapshot().dataframe(spark)
            columns = sorted(c for c in frame.columns if c not in RUN_COLUMNS)
            rows = [tuple(row) for row in frame.select(*columns).collect()]
            found[name] = sorted(rows, key=lambda row: str([rounded(value) for value in row]))
    return found


def rounded(value: Any) -> Any:
    return float(f"{value:.6g}") if isinstance(value, float) else value


def same(a: Any, b: Any, tolerance: float) -> bool:
    if isinstance(a, float) and isinstance(b, float):
        return math.isclose(a, b, rel_tol=tolerance, abs_tol=1e-12) or (
            math.isnan(a) and math.isnan(b)
        )
    if isinstance(a, tuple | list) and isinstance(b, tuple | list):
        return len(a) == len(b) and all(same(x, y, tolerance) for x, y in zip(a, b, strict=True))
    return bool(a == b)


@pytest.mark.slow
def test_tables_equal_those_of_local_mode(
    cluster: Cluster, spark: SparkSession, small: Callable[..., Path], tmp_path: Path
) -> None:
    file = small(training=True)
    arguments = ["--config", str(file), "--warehouse", str(tmp_path / "cluster"), "--log-json"]
    ended = cluster.submit("jobs/run.py", *arguments, seconds=560)
    assert ended.code == 0, ended.output[-6000:]
    assert '"host"' in ended.output  # the ranks said where they run
    pipeline = load_pipeline(file, warehouse=str(tmp_path / "local"))
    Runner(pipeline, Lake(pipeline.warehouse, spark), lambda event: None).run()
    there, here = Lake(tmp_path / "cluster", spark), Lake(tmp_path / "local", spark)
    submitted, local = content(spark, there), content(spark, here)
    assert set(submitted) == set(local)
    for name in local:
        # Float32 sums of a network's gradients differ in their last bits between BLAS threads.
        tolerance = 1e-4 if name == "scores/mlp" else 1e-9
        for row, other in zip(submitted[name], local[name], strict=True):
            assert same(row, other, tolerance), f"{name}: {row} and {other}"
    statuses = {(row["stage"], row["status"]) for row in ledger.read(there)}
    assert ("mlp", ledger.SUCCEEDED) in statuses and ("", ledger.SUCCEEDED) in statuses
