"""Replays of stages that depend on more than their input's rows: an earlier version, two ranks."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.lake import Lake, ledger
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.pipeline.replay import Replay

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

DRIFT = """
pipeline: drift
warehouse: {folder}/lake
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: prices.csv}}
    columns: {{price: int}}
    table: raw/prices
  - stage: clean
    name: clean
    input: raw/prices
    table: clean/prices
    columns: {{price: {{max_psi: 0.2}}}}
"""


def run(spark: SparkSession, file: Path, *settings: str) -> Runner:
    pipeline = load_pipeline(file, settings=settings)
    runner = Runner(pipeline, Lake(pipeline.warehouse, spark), lambda event: None)
    runner.run()
    return runner


@pytest.mark.slow
def test_drift_is_measured_against_the_version_that_the_run_saw(
    spark: SparkSession, tmp_path: Path
) -> None:
    file = tmp_path / "drift.yaml"
    file.write_text(DRIFT.format(folder=tmp_path))
    runs = []
    # As many prices again, which are like the first; then others, of which nobody minds.
    for first, settings in ((1, ()), (2, ()), (5000, ("clean.columns.price.max_psi=100",))):
        prices = "\n".join(str(price) for price in range(first, first + 200))
        (tmp_path / "prices.csv").write_text(f"price\n{prices}\n")
        runs.append(run(spark, file, *settings))
    lake = runs[0].lake
    read = {row["run_id"]: row["versions_read"] for row in ledger.read(lake) if row["stage"]}
    assert [read[one.run_id] for one in runs] == [
        {"raw/prices": 0},
        {"raw/prices": 1, "clean/prices": 0},
        {"raw/prices": 2, "clean/prices": 1},
    ]
    # It compared with version 0; against version 2 as it is now it would break the rule.
    for one in runs[:2]:
        found = {outcome.stage: outcome for outcome in Replay(lake, one.run_id).stages()}
        assert (found["clean"].status, found["clean"].rows) == ("same", 200), found["clean"]
    assert ledger.rebuild(lake)
    again = {row["run_id"]: row["versions_read"] for row in ledger.read(lake) if row["stage"]}
    assert again == read
    # Nothing of it makes a stage run again.
    pipeline = load_pipeline(file, settings=["clean.columns.price.max_psi=100"])
    decisions = Runner(pipeline, lake, lambda event: None).decisions
    for stage in pipeline.stages:
        decision = decisions.decide(stage)
        assert decision.last is not None and not decision.reason
        decisions.follow(stage, decision.last, decision.newest)


@pytest.mark.slow
def test_a_network_is_trained_again(spark: SparkSession, small: Callable[..., Path]) -> None:
    """On two ranks, with dropout and batch normalisation."""
    file = small(training=True)
    text = file.read_text().split("  - stage: ensemble")[0]
    before, network = text.split("  - stage: baseline")[0], text.split("  - stage: train")[1]
    file.write_text(f"{before}  - stage: train{network}")
    done = run(spark, file)
    replay = Replay(done.lake, done.run_id)
    assert [line["stage"] for line in replay.lines][-2:] == ["features", "mlp"]
    replay.lines = replay.lines[-1:]
    (outcome,) = replay.stages()
    rows = done.lake.table("scores/mlp").snapshot().rows
    assert rows and (outcome.stage, outcome.status, outcome.rows) == ("mlp", "same", rows), outcome
    # Other settings give another network: equal scores are no accident.
    other = run(spark, file, "mlp.learning_rate=0.01")
    scores = other.lake.table("scores/mlp")
    old, new = (scores.snapshot(version).dataframe(spark) for version in (0, 1))
    assert old.exceptAll(new).count() > rows / 2
