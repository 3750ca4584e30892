"""The stages `keywords` and `topics` in a pipeline: rows, models, ledger, report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.mine import KeywordsModel, TopicsModel
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PIPELINE = """
pipeline: labels
warehouse: {lake}
seed: 4
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: labels.csv}}
    columns: {{id: int, shelf: string, label: string}}
    table: raw/labels
  - stage: keywords
    name: words
    input: raw/labels
    text: label
    group: shelf
    where: id < 150
    top: 3
    {words}
    table: mined/words
  - stage: topics
    name: subjects
    input: raw/labels
    text: label
    keys: id
    {topics}
    iterations: 6
    batch_share: 0.8
    table: mined/subjects
  - stage: report
    name: report
    title: Labels
    table: reports/labels
"""
WORDS = {
    "bakery": "bread rye cake roll bun wheat baked loaf oat crust",
    "cellar": "wine red merlot dry vineyard cellar bottle white brut oak",
    "drugs": "shampoo hair soap skin lotion care scent bath comb nail",
}
SHELVES = {shelf: words.split() for shelf, words in WORDS.items()}


def written(folder: Path, words: str = "", topics: str = "ks: [2, 3]") -> Path:
    """180 labels of six words of their shelf, and a word of all shelves."""
    random = np.random.default_rng(1)
    lines = ["id,shelf,label"]
    for number in range(180):
        shelf = list(SHELVES)[number % 3]
        lines.append(f"{number},{shelf},THE {' '.join(random.choice(SHELVES[shelf], 6))}")
    (folder / "labels.csv").write_text("\n".join([*lines, "180,bakery,?"]) + "\n")
    file = folder / "labels.yaml"
    file.write_text(PIPELINE.format(lake=folder / "lake", words=words, topics=topics))
    return file


def test_settings_are_checked_before_anything_runs(tmp_path: Path) -> None:
    for words, topics in [
        ("stop_words: latin", "k: 3"),
        ("ngrams: [2, 1]", "k: 3"),
        ("ngrams: [1]", "k: 3"),
        ("unit: line", "k: 3"),
        ("", "min_length: 2"),
        ("", "{k: 3, ks: [2, 3]}"),
        ("", "k: 1"),
    ]:
        with pytest.raises(ConfigError):
            load_pipeline(written(tmp_path, words, topics))


@pytest.mark.slow
def test_keywords_and_topics_are_written_and_shown(spark: SparkSession, tmp_path: Path) -> None:
    lake = Lake(tmp_path / "lake", spark)
    file = written(tmp_path, "stop_words: english")
    done = Runner(load_pipeline(file), lake, lambda event: None).run()
    words = lake.table("mined/words").snapshot().dataframe(spark).toPandas()
    assert words.groupby("group").term.apply(set).to_dict() == {
        shelf: set(own) & set(words.term) for shelf, own in SHELVES.items()
    }
    assert sorted(words["rank"]) == [1, 1, 1, 2, 2, 2, 3, 3, 3]
    assert all(row.term in row.example.split() for row in words.itertuples())

    found = lake.table("mined/subjects").snapshot().dataframe(spark).orderBy("id").toPandas()
    assert list(found.columns) == ["id", "topic", "topics"] and len(found) == 181
    assert found.topic[180:].isna().all()
    for start in range(3):
        assert found.topic[start:180:3].value_counts(normalize=True).max() > 0.95
    figures = (done["subjects"].metadata or {})["metrics"]["topics"]
    assert [one["k"] for one in figures["choice"]["tried"]] == [2, 3]
    assert figures["k"] == 3 and figures["rows"] < 180  # some were held out
    folder = tmp_path / "lake" / "_artifacts"
    for stage, kind in (("words", KeywordsModel), ("subjects", TopicsModel)):
        (manifest,) = (folder / stage).glob("*/manifest.json")
        assert isinstance(kind.load(manifest.parent), kind)
    (page,) = (folder / "report").glob("*/report.html")
    text = page.read_text()
    assert "3 <strong>(chosen)</strong>" in text and "by number of topics" in text
    assert "150 texts" in text and "Keywords of bakery" in text and "Words of topic 2" in text
