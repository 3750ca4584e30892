"""The main pipeline, conf/retail.yaml, its figures checked by pandas and scikit-learn."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.metrics import roc_auc_score

from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

FILE = Path(__file__).parents[2] / "conf" / "retail.yaml"


@pytest.mark.slow
def test_it_runs_and_a_model_beats_the_baselines(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(FILE, warehouse=str(tmp_path / "lake")), lake, lambda event: None).run()

    def table(name: str) -> pd.DataFrame:
        return lake.table(name).snapshot().dataframe(spark).toPandas()

    raw, clean, bad = (
        lake.table(name).snapshot().rows
        for name in ("raw/transactions", "clean/transactions", "quarantine/clean_transactions")
    )
    assert raw == clean + bad and bad > 0

    figures = table("evaluation/models")
    aucs = figures[figures.metric == "roc_auc"].set_index("model").value
    for name in ("logistic", "mlp", "boosted", "best_rule"):
        scores = table(f"scores/{name}").query("45 <= week <= 52")
        assert aucs[name] == pytest.approx(roc_auc_score(scores.shops, scores.prediction), abs=1e-9)
    models = ["logistic", "tree", "mlp", "boosted", "averaging"]
    assert aucs[models].max() > aucs["best_rule"] + 0.02 > 0.6
    champion = table("champions/shops").iloc[-1]
    assert champion.model in [*models, "voting"]

    items = table("mart/basket_items")
    baskets = items.groupby("category").basket_id.agg(set)
    rules = table("mined/rules")
    for rule in rules.sample(5, random_state=0).itertuples():
        left = set.intersection(*(baskets[item] for item in rule.antecedent))
        both = set.intersection(left, *(baskets[item] for item in rule.consequent))
        assert rule.confidence == pytest.approx(len(both) / len(left))

    coming = table("predictions/households")
    assert len(coming) and coming.prediction.between(0, 1).all() and coming.household_id.is_unique
    (report,) = (tmp_path / "lake" / "_artifacts" / "report").rglob("report.html")
    assert report.stat().st_size < 5 << 20
    page = report.read_text()
    shown = ("evaluation", "explanation", "rules", "predictions", "leakage", "quality")
    for section in (*shown, "calibration", "ensembles", "decisions"):
        assert f'id="{section}"' in page
