"""One Spark session for all local tests, an empty lake for each, and a small pipeline."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Lake


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from sparkmine.sessions import session

    log_file = tmp_path_factory.mktemp("spark") / "spark.log"
    found = session(
        "tests",
        conf={"spark.master": "local[2]", "spark.driver.memory": "3g"},
        log_file=log_file,
    )
    yield found
    found.stop()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    from sparkmine.lake import Lake

    return Lake(tmp_path / "lake", spark)


SMALL = """
pipeline: small
warehouse: {warehouse}
seed: 3
parameters:
  train: "day <= 18"
  limit: 500
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: visits.csv}}
    columns: {{id: bigint, household: bigint, day: int, amount: double, shop: string, again: int}}
    table: raw/visits
    output: {{partition_by: day}}
    max_bad_fraction: 0.2
  - stage: clean
    name: clean
    input: raw/visits
    table: clean/visits
    columns:
      household: {{not_null: true, type: long}}
      amount: {{minimum: 0, maximum: "${{limit}}"}}
    conditions: {{"known shop": "shop <> 'closed'"}}
    max_bad_fraction: 0.3
  - stage: dedup
    name: dedup
    input: clean/visits
    table: unique/visits
    key: id
    order_by: amount desc
  - stage: query
    name: table
    sql: table.sql
    inputs: {{visits: unique/visits}}
    table: mart/visits
  - stage: features
    name: features
    input: mart/visits
    table: features/visits
    fit_on: ${{train}}
    keys: [id, household, day]
    label: again
    recipe:
      - {{operator: ImputeMedian, columns: numeric()}}
      - {{operator: Standardize, columns: numeric()}}
      - {{operator: OneHot, columns: [shop]}}
  - stage: baseline
    name: majority
    input: features/visits
    table: scores/majority
    model: {{kind: majority}}
    keys: [id, household, day]
    label: again
    train: ${{train}}
  - stage: classical
    name: logistic
    input: features/visits
    table: scores/logistic
    model: {{kind: logistic, l2: 0.01}}
    keys: [id, household, day]
    label: again
    train: ${{train}}
  - stage: classical
    name: tree
    input: features/visits
    table: scores/tree
    model: {{kind: tree, max_depth: 3}}
    keys: [id, household, day]
    label: again
    train: ${{train}}
{training}
  - stage: ensemble
    name: averaging
    method: averaging
    members: {{logistic: scores/logistic, tree: scores/tree}}
    keys: [id, household, day]
    label: again
    table: scores/averaging
  - stage: rules
    name: rules
    input: unique/visits
    table: mined/rules
    basket: household
    item: shop
    min_support: 0.1
  - stage: evaluate
    name: evaluate
    models: {{logistic: scores/logistic, tree: scores/tree, averaging: scores/averaging}}
    baselines: {{majority: scores/majority}}
    where: day > 20
    choose_on: day = 19 or day = 20
    label: again
    group: household
    samples: 50
    table: evaluation/models
  - stage: predict
    name: predict
    input: features/visits
    evaluation: evaluation/models
    where: day = 24
    keys: [id, household, day]
    table: predictions/visits
  - stage: report
    name: report
    title: Small
    table: reports/small
"""

TRAINING = """
  - stage: train
    name: mlp
    input: features/visits
    table: scores/mlp
    model: {kind: mlp, hidden: [8], dropout: 0.1, batch_normalisation: true}
    keys: [id, household, day]
    label: again
    train: ${train}
    ranks: 2
    epochs: 3
    batch_size: 32
"""

SQL = "select id, household, day, amount, amount * 2 as twice, shop, again from visits"


def visits_csv(rows: int = 1200) -> str:
    """Rows with known faults: 12 that do not cast, 10 closed, 5 without household, 20 doubled."""
    generator = np.random.default_rng(1)
    lines = ["id,household,day,amount,shop,again"]
    for i in range(rows):
        amount = round(float(generator.gamma(2, 20)), 2)
        again = int(amount + generator.normal(0, 20) > 40)
        day, shop = i % 25, generator.choice(["north", "south", "east"])
        household = str(i % 60)
        if i < 12:
            day = "soon"
        elif i < 22:
            shop = "closed"
        elif i < 27:
            household = ""
        lines.append(f"{i},{household},{day},{amount},{shop},{again}")
        if 100 <= i < 120:
            lines.append(f"{i},{household},{day},{amount / 2},{shop},{again}")
    return "\n".join(lines) + "\n"


EXPECTED = {
    "ingest": (1220, 1208, 12, 0),
    "clean": (1208, 1193, 15, 0),
    "dedup": (1193, 1173, 0, 20),
}


@pytest.fixture
def small(tmp_path: Path) -> Callable[..., Path]:
    """Write the pipeline and its files; returns the YAML file."""

    def write(training: bool = False, warehouse: Path | str = "", text: str = SMALL) -> Path:
        return write_small(tmp_path, warehouse or tmp_path / "lake", training, text)

    return write


def write_small(
    folder: Path, warehouse: Path | str, training: bool = False, text: str = SMALL
) -> Path:
    (folder / "conf").mkdir(exist_ok=True)
    (folder / "conf" / "visits.csv").write_text(visits_csv())
    (folder / "conf" / "table.sql").write_text(SQL)
    file = folder / "conf" / "small.yaml"
    file.write_text(text.format(warehouse=warehouse, training=TRAINING if training else ""))
    return file


@pytest.fixture(scope="session")
def finished(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `lake`, the small pipeline's warehouse after one undisturbed run, and
    `events.json`, the last event of every stage. Tests read it, or go on in a copy of it."""
    from sparkmine.lake import Lake
    from sparkmine.pipeline import Runner, load_pipeline

    folder = tmp_path_factory.mktemp("finished")
    events = {}

    def note(event: Mapping[str, Any]) -> None:
        if event["event"] == "stage":
            events[event["stage"]] = event

    pipeline = load_pipeline(write_small(folder, folder / "lake"))
    Runner(pipeline, Lake(folder / "lake", spark), note).run()
    (folder / "events.json").write_text(json.dumps(events))
    return folder


@pytest.fixture
def expected_rows() -> dict[str, tuple[int, int, int, int]]:
    """Rows in, kept, quarantined and removed, by stage."""
    return EXPECTED
