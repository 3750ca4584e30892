"""The stage `kmeans` in a pipeline: rows, model, ledger, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.mine import KMeansModel
from sparkmine.pipeline import Runner, load_pipeline

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
