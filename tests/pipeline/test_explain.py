"""The stage that explains a model, in a pipeline and in its report."""

from __future__ import annotations

import html
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

STAGES = """
  - stage: explain
    name: why
    input: features/visits
    evaluation: evaluation/models
    where: day > 20
    keys: [id, household, day]
    label: again
    group: household
    values_from: mart/visits
    repeats: 2
    samples: 20
    partial_dependence: 2
    surrogate_depth: 2
    reasons: {where: day = 24, top: 1, background: 4}
    table: explained/model
  - stage: report
    name: report
"""


@pytest.mark.slow
def test_a_model_is_explained_in_a_pipeline(
    finished: Path, small: Callable[..., Path], spark: SparkSession, tmp_path: Path
) -> None:
    shutil.copytree(finished / "lake", tmp_path / "lake", symlinks=True)
    file = small()
    text = file.read_text().replace("  - stage: report\n    name: report\n", STAGES.lstrip("\n"))
    file.write_text(text)
    lake = Lake(tmp_path / "lake", spark)
    done = Runner(load_pipeline(file), lake, lambda event: None).run(start="why")
    found = lake.table("explained/model").snapshot().dataframe(spark).toPandas()
    found = found.set_index("feature").sort_values("rank")
    # The label is amount and noise; what was made of the shop's column is one feature.
    assert set(found.index) == {"amount", "twice", "shop"} and found.loc["amount", "rank"] <= 2
    shops = {f"shop_is_{value}" for value in ("north", "south", "east", "other", "missing")}
    assert set(found.loc["shop", "columns"]) == shops
    assert abs(found.loc["shop", "importance"]) < 0.02 < found.importance.iloc[0]
    assert (found.low <= found.high).all()
    reasons = lake.table("reasons/why").snapshot().dataframe(spark).toPandas().set_index("id")
    visits = lake.table("mart/visits").snapshot().dataframe(spark).where("day = 24").toPandas()
    predicted = lake.table("predictions/visits").snapshot().dataframe(spark).toPandas()
    assert len(reasons) == len(visits) == len(predicted)
    predicted = predicted.set_index("id").prediction
    assert reasons.prediction.to_numpy() == pytest.approx(predicted[reasons.index].to_numpy())
    parts = reasons.contributions.apply(lambda parts: sum(dict(parts).values()))
    assert (parts + reasons.expected).to_numpy() == pytest.approx(reasons.prediction.to_numpy())
    row = visits.set_index("id").amount.idxmax()
    amount = visits.set_index("id").amount[row]
    # In the words of the table before features: money, not standard deviations.
    said = {f"amount {amount:.4g} (+", f"twice {2 * amount:.4g} (+"}
    assert any(reasons.reasons[row][0].startswith(start) for start in said)
    metrics = (done["why"].metadata or {})["metrics"]["explain"]
    folder = next((tmp_path / "lake" / "_artifacts" / "why").iterdir())
    saved = json.loads((folder / "explanation.json").read_text())
    assert (
        saved["rows"] == metrics["rows"] and saved["surrogate"]["r2"] == metrics["fidelity"] > 0.7
    )
    assert len(saved["dependence"]) == 2 and len(saved["examples"]) == 10
    pages = [
        html.unescape(one.read_text())
        for one in (tmp_path / "lake" / "_artifacts" / "report").glob("*/*.html")
    ]
    page = next(one for one in pages if 'id="explanation"' in one)
    for words in ("The model in a few rules", "Reasons of single rows", "Fall of ROC-AUC"):
        assert words in page
    again = Runner(load_pipeline(file), lake, lambda event: None).run(only="why")
    assert again["why"].version == done["why"].version


def test_one_model_is_named(small: Callable[..., Path]) -> None:
    file = small()
    text = file.read_text().replace("  - stage: report\n    name: report\n", STAGES.lstrip("\n"))
    file.write_text(
        text.replace(
            "    evaluation: evaluation/models\n    where: day > 20", "    where: day > 20"
        )
    )
    with pytest.raises(ConfigError, match="name one of model, champion and evaluation, not none"):
        load_pipeline(file)
