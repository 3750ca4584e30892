"""The stage `kmeans` in a pipeline: rows, model, ledger, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.errors import ConfigError, SparkmineError
from sparkmine.lake import Lake
from sparkmine.mine import KMeansModel
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.recipe.selectors import select

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PIPELINE = """
pipeline: households
warehouse: {lake}
seed: 4
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: households.csv}}
    columns: {{id: int, sales: double, visits: double}}
    table: raw/households
  - stage: kmeans
    name: segments
    input: raw/households
    features: numeric()
    keys: id
    {k}
    starts: 3
    table: mined/segments
  - stage: report
    name: report
    title: Households
    table: reports/households
"""


def written(folder: Path, k: str) -> Path:
    """Three groups of 20 households: of few, of many sales, of many visits."""
    near = [(i % 5 / 10, i % 4 / 10) for i in range(20)]
    places = [(0, 0)] * 20 + [(50, 0)] * 20 + [(0, 80)] * 20
    lines = [
        f"{number},{x + dx},{y + dy}"
        for number, ((x, y), (dx, dy)) in enumerate(zip(places, near * 3, strict=True))
    ]
    (folder / "households.csv").write_text("\n".join(["id,sales,visits", *lines]) + "\n")
    file = folder / "households.yaml"
    file.write_text(PIPELINE.format(lake=folder / "lake", k=k))
    return file


def test_k_or_ks(tmp_path: Path) -> None:
    for wrong in ("k: 0", "max_iterations: 5", "{k: 2, ks: [2, 3]}"):
        with pytest.raises(ConfigError):
            load_pipeline(written(tmp_path, wrong))


def test_features_by_names_or_a_selector_that_is_read_first(tmp_path: Path) -> None:
    file = written(tmp_path, "k: 2")
    text = file.read_text()
    file.write_text(text.replace("numeric()", "[sales, visits]"))
    assert load_pipeline(file).stage("segments").model_dump()["features"] == str(
        select("sales", "visits")
    )
    file.write_text(text.replace("numeric()", "numeric("))
    with pytest.raises(ConfigError, match=r"stages\[1\]\.features: cannot read selector"):
        load_pipeline(file)


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (
            "[sales, visits]",
            "stage segments: features name visits of raw/households, .*: encode it",
        ),
        ("select('id')", "features name id of raw/households, which is a key"),
        ("[sale]", r"stage segments: no column 'sale'; there are \['id', 'sales', 'visits'\]"),
        ("starts_with('x')", "stage segments: no column of raw/households is a feature"),
        # What else is wrong in these is not looked at: a column that is missing comes first.
        (
            "select('id')\n    fit_on: sale > 0",
            r"stage segments: fit_on: raw/households has no column 'sale'; did you mean 'sales'\?",
        ),
        ("select('id')\n    fit_on: weight > 0", r"'weight'; it has \['id', 'sales', 'visits'\]"),
    ],
)
def test_features_that_are_none(
    spark: SparkSession, texts: Path, features: str, message: str
) -> None:
    file = texts.with_name("case.yaml")
    file.write_text(texts.read_text().replace("numeric()", features))
    pipeline = load_pipeline(file)
    with pytest.raises(SparkmineError, match=message):
        Runner(pipeline, Lake(pipeline.warehouse, spark), lambda event: None).run(only="segments")


@pytest.fixture(scope="module")
def texts(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pipeline whose table has numbers of visits as text."""
    file = written(tmp_path_factory.mktemp("texts"), "k: 2")
    file.write_text(file.read_text().replace("visits: double", "visits: string"))
    pipeline = load_pipeline(file)
    Runner(pipeline, Lake(pipeline.warehouse, spark), lambda event: None).run(only="ingest")
    return file


def test_segments_are_written_and_shown(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(written(tmp_path, "ks: [2, 3, 4, 5]")), lake, lambda event: None).run()
    table = lake.table("mined/segments")
    found = table.snapshot().dataframe(spark)
    assert found.columns == ["id", "cluster", "distance"]
    groups = found.toPandas().groupby("cluster")["id"].apply(lambda ids: sorted(set(ids // 20)))
    assert sorted(map(tuple, groups)) == [(0,), (1,), (2,)]
    (file,) = (tmp_path / "lake" / "_artifacts" / "segments").glob("*/manifest.json")
    model = KMeansModel.load(file.parent)
    assert (model.k, model.rows, model.features) == (3, 60, ("sales", "visits"))
    (page,) = (tmp_path / "lake" / "_artifacts" / "report").glob("*/report.html")
    text = page.read_text()
    assert "3 clusters of 60 rows" in text
    assert "high visits (+1.4 sd), low sales (-0.7 sd)" in text
    assert "Silhouette" in text
    # Three groups far apart: by the silhouette, and where the inertia bends.
    assert '3 <strong>(chosen)</strong> <span class="muted">(elbow)</span>' in text
    assert "inertia by number of clusters; the square is the elbow, 3" in text
