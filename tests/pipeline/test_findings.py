"""Stages that look for what is strange: outliers and leakage, in a pipeline and in its report."""

from __future__ import annotations

import html
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.errors import LeakageError
from sparkmine.lake import Lake
from sparkmine.model import Model
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STAGES = """
  - stage: outliers
    name: strange
    input: features/visits
    table: mined/strange
    keys: [id, day]
    features: select('amount')
    train: ${train}
    methods: [isolation_forest, univariate]
    trees: 10
  - stage: leakage
    name: leakage
    input: features/visits
    train: ${train}
    test: day > 20
    keys: [id, household, day]
    label: again
    features: select('amount', 'twice')
    time: day
    horizon_days: 3
    table: evaluation/leakage
  - stage: report
    name: report
"""


@pytest.mark.slow
def test_outliers_and_leakage_of_a_pipeline(
    finished: Path, small: Callable[..., Path], spark: SparkSession, tmp_path: Path
) -> None:
    shutil.copytree(finished / "lake", tmp_path / "lake", symlinks=True)
    file = small()
    text = file.read_text().replace("  - stage: report\n    name: report\n", STAGES.lstrip("\n"))
    file.write_text(text)
    lake = Lake(tmp_path / "lake", spark)
    done = Runner(load_pipeline(file), lake, lambda event: None).run(start="strange")
    scored = lake.table("mined/strange").snapshot().dataframe(spark).toPandas()
    features = lake.table("features/visits").snapshot().dataframe(spark).toPandas()
    both = scored.merge(features, on=["id", "day"])
    assert len(both) == len(scored) == len(features)
    largest = both.loc[both.amount.abs().idxmax()]
    assert largest.score > 0.99 and next(iter(largest.reasons)).startswith("amount high (+")
    found = lake.table("evaluation/leakage").snapshot().dataframe(spark).toPandas()
    # The last training day is 18, the first test day 21: a label of 3 days touches it, no more.
    assert "future" not in set(found.check)
    metadata = done["strange"].metadata or {}
    folder = next((tmp_path / "lake" / "_artifacts" / "strange").iterdir())
    assert Model.load(folder).features == ("amount",)
    assert metadata["metrics"]["outliers"]["rows"] == len(features)
    pages = [
        html.unescape(one.read_text())
        for one in (tmp_path / "lake" / "_artifacts" / "report").glob("*/*.html")
    ]
    assert any("The strangest of" in one and 'id="leakage"' in one for one in pages)
    with pytest.raises(LeakageError, match=r"the labels of .* reach beyond 21"):
        settings = ["leakage.horizon_days=5", "leakage.on_finding=fail"]
        Runner(load_pipeline(file, settings=settings), lake, lambda event: None).run(only="leakage")
