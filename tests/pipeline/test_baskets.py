"""The stages `itemsets`, `rules` and `recommend`: tables, report, and mistakes in their blocks."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.errors import ConfigError
from sparkmine.lake import Lake
from sparkmine.mine import RulesModel
from sparkmine.pipeline import Runner, load_pipeline

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PIPELINE = """
pipeline: shop
warehouse: {lake}
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: lines.csv}}
    columns: {{receipt: int, article: string}}
    table: raw/lines
  - stage: itemsets
    name: itemsets
    input: raw/lines
    table: mined/itemsets
    basket: receipt
    item: article
    where: article <> 'bag'
    min_support: 0.4
    keep: closed
  - stage: rules
    name: rules
    input: raw/lines
    table: mined/rules
    basket: receipt
    item: article
    where: article <> 'bag'
    min_support: 0.4
    min_confidence: 0.5
    filters: {{lift: {{minimum: 1}}, support: {{maximum: 0.9}}}}
    antecedent_has: [beer, nappies]
    consequent_lacks: milk
    prune: true
  - stage: recommend
    name: recommend
    input: raw/lines
    rules: mined/rules
    table: mined/recommendations
    basket: receipt
    item: article
    top_k: 2
    score: zhang
  - stage: report
    name: report
    title: Shop
    table: reports/shop
"""
LINES = """receipt,article
1,beer
1,nappies
1,bag
2,beer
2,nappies
2,milk
3,milk
4,beer
4,bag
5,milk
5,nappies
"""


def test_tables_and_report(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "lines.csv").write_text(LINES)
    file = tmp_path / "shop.yaml"
    file.write_text(PIPELINE.format(lake=tmp_path / "lake"))
    lake = Lake(tmp_path / "lake", spark)
    Runner(load_pipeline(file), lake, lambda event: None).run()

    def rows(table: str) -> list[tuple[object, ...]]:
        found = lake.table(table).snapshot().dataframe(spark).collect()
        return sorted(tuple(row) for row in found)

    assert rows("mined/itemsets") == [
        (["beer"], 0.6, 3),
        (["beer", "nappies"], 0.4, 2),
        (["milk"], 0.6, 3),
        (["milk", "nappies"], 0.4, 2),
        (["nappies"], 0.6, 3),
    ]
    # {nappies} -> {beer} and {beer} -> {nappies}, 2 of 5: the leverage is 0.4 - 0.6 * 0.6.
    assert [row[:2] for row in rows("mined/rules")] == [
        (["beer"], ["nappies"]),
        (["nappies"], ["beer"]),
    ]
    # Receipt 4 has beer alone, receipt 5 nappies without beer.
    assert [row[:2] + row[3:] for row in rows("mined/recommendations")] == [
        (4, "nappies", ["beer"], ["nappies"]),
        (5, "beer", ["nappies"], ["beer"]),
    ]
    # The stage of the rules leaves a model that recommends the same.
    (manifest,) = (tmp_path / "lake" / "_artifacts" / "rules").glob("*/manifest.json")
    lines = lake.table("raw/lines").snapshot().dataframe(spark)
    model = RulesModel.load(manifest.parent)
    assert (model.baskets, model.itemsets) == (5, 5)
    again = model.transform(lines, 2, score="zhang").collect()
    assert sorted(map(tuple, again)) == rows("mined/recommendations")
    zhang = [row[2] for row in rows("mined/recommendations")]
    assert zhang == pytest.approx([0.04 / (0.4 * 0.4)] * 2)
    metadata = next(iter(lake.table("mined/itemsets").commits())).metadata
    assert metadata is not None
    assert metadata["metrics"]["itemsets"] == {"baskets": 5, "mined": 5}
    (report,) = (tmp_path / "lake" / "_artifacts" / "report").rglob("report.html")
    text = report.read_text()
    assert "2 rules over article in 5 baskets" in text
    assert "0.0400" in text and "Zhang" in text
    section = text[text.index('id="recommendations"') :]
    # 2 of 5 baskets, one item each, both by rules of lift 0.4 / 0.6 / 0.6 and zhang 0.25.
    assert "Baskets by their number of recommendations: 0: 60.0\u00a0%, 1: 40.0\u00a0%." in section
    cells = [re.findall(r'<td class="n">([^<]*)</td>', row) for row in section.split("<tr>")]
    assert cells.count(["1", "20.0\u00a0%", "0.250", "1.11"]) == 2


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("filters: {{lift:", "filters: {{lft:", "filters.lft"),
        ("{{minimum: 1}}", "{{minimum: 2, maximum: 1}}", "minimum 2.0 is above maximum 1.0"),
        ("keep: closed", "keep: most", "keep: .*'closed'"),
        ("score: zhang", "score: charm", "score: .*'zhang'"),
        ("rules: mined/rules", "rules: mined/others", "mined/others"),
        ("top_k: 2", "top_k: 0", "top_k"),
    ],
)
def test_mistakes_are_found_before_spark_starts(
    tmp_path: Path, old: str, new: str, says: str
) -> None:
    (tmp_path / "lines.csv").write_text(LINES)
    file = tmp_path / "shop.yaml"
    assert old in PIPELINE
    file.write_text(PIPELINE.replace(old, new).format(lake=tmp_path / "lake"))
    with pytest.raises(ConfigError, match=says):
        load_pipeline(file)
