"""Fuzzy records against made-up people whose truth is known."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

import sparkmine as sm
from sparkmine.dedup.fuzzy import Comparison, Linkage, LinkedRecords, Training, measured
from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.clusters import Agreement, pairwise, whole_clusters
from sparkmine.testing.people import people

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


def comparison(kind: str, *columns: str, **more: Any) -> Comparison:
    return Comparison(kind=kind, columns=columns, **more)


# Three comparisons, for each costs time.
SMALL = Linkage(
    id="id",
    blocking=(("born",), ("email",)),
    comparisons=(
        comparison("full_name", "first_name", "surname", term_frequency=False),
        comparison("date", "born"),
        comparison("email", "email"),
    ),
    training=Training(rules=(("born",), ("email",)), prior=0.002, sample_pairs=20_000),
    seed=3,
)
WHOLE = Linkage(
    id="id",
    blocking=(("born",), ("postcode",), ("email",), ("phone",), ("first_name", "surname")),
    comparisons=(
        comparison("full_name", "first_name", "surname"),
        comparison("date", "born"),
        comparison("levenshtein", "street", thresholds=(1, 4)),
        comparison("exact", "city", term_frequency=True),
        comparison("postcode", "postcode"),
        comparison("email", "email"),
        comparison("phone", "phone"),
    ),
    training=Training(
        rules=(("born",), ("first_name", "surname")),
        certain=(("email",), ("born", "surname")),
        recall=0.8,
        sample_pairs=200_000,
    ),
    seed=1,
)


def agreements(table: pa.Table, found: LinkedRecords) -> tuple[Agreement, Agreement]:
    clusters = dict(found.clusters.collect())
    truth = table["truth"].to_pylist()
    named = [clusters[id] for id in table["id"].to_pylist()]
    return pairwise(truth, named), whole_clusters(truth, named)


def frame_of(spark: SparkSession, table: pa.Table) -> DataFrame:
    return spark.createDataFrame(table.drop_columns(["truth"]))


def test_people_are_found(spark: SparkSession) -> None:
    table = people(300, "low", seed=4)
    before = spark.catalog.listTables()
    found = sm.dedup.fuzzy_records(frame_of(spark, table), SMALL)
    assert spark.catalog.listTables() == before
    pairs, clusters = agreements(table, found)
    assert found.clusters.columns == ["id", "cluster"]
    assert pairs.precision >= 0.99
    assert min(pairs.f1, clusters.f1) >= 0.95
    figures = found.figures
    assert figures["rows"] == 300
    assert figures["edges"] + figures["near_misses"] <= figures["pairs_compared"]
    # Of the pairs of both rules those that agree in both count once.
    by_rule = figures["pairs_by_rule"].values()
    assert max(by_rule) < figures["pairs_compared"] < sum(by_rule)
    assert 0.95 < figures["expected_precision"] <= 1
    # Only what disagrees speaks against a match; the weights of an example add up.
    by_level = {(level.comparison, level.level): level.weight for level in found.levels}
    assert by_level["email", "equal"] > 5 > -1 > by_level["email", "different"]
    for example in found.examples:
        assert sum(bar[2] for bar in example.bars[:-1]) == pytest.approx(example.bars[-1][2])
    wanted = spark.createDataFrame([(0, 0, True)], "a long, b long, same boolean")
    assert measured(found, wanted) == {"pairs": 1, "precision": 1.0, "recall": 1.0}


def test_what_cannot_be_linked(spark: SparkSession) -> None:
    df = frame_of(spark, people(50, "low", seed=4))
    with pytest.raises(ConfigError, match="no column born, email"):
        sm.dedup.fuzzy_records(df.drop("born", "email"), SMALL)
    with pytest.raises(
        ConfigError, match="'email' has type array<int>, which email does not compare"
    ):
        sm.dedup.fuzzy_records(df.selectExpr("* except (email)", "array(1) as email"), SMALL)
    loose = replace(SMALL, blocking=(("born",), ("left(born, 2)",)), max_pairs=500)
    with pytest.raises(ConfigError, match=r"rule 'left\(born, 2\)' alone gives 1,2.*add a column"):
        sm.dedup.fuzzy_records(df, loose)
    null = df.selectExpr("* except (id)", "nullif(id, 7) as id")
    with pytest.raises(DataError, match="'id' is null in 1 rows"):
        sm.dedup.fuzzy_records(null, SMALL)


@pytest.mark.slow
def test_rows_that_give_no_pairs(spark: SparkSession) -> None:
    df = frame_of(spark, people(50, "low", seed=4))
    one = sm.dedup.fuzzy_records(df.where("id = 7"), SMALL)
    assert [tuple(row) for row in one.clusters.collect()] == [(7, 7)]
    assert one.pairs.count() == 0
    with pytest.raises(DataError, match="no two rows agree in the training rule 'born'"):
        sm.dedup.fuzzy_records(df.withColumn("born", df.id.cast("string")), SMALL)
    certain = Training(rules=(("born",), ("email",)), certain=(("phone", "updated", "street"),))
    with pytest.raises(DataError, match="in any of the rules `certain`"):
        sm.dedup.fuzzy_records(df, replace(SMALL, training=certain))
    twice = df.selectExpr("* except (id)", "id % 49 as id")
    with pytest.raises(DataError, match="1 values are in several rows"):
        sm.dedup.fuzzy_records(twice, SMALL)


@pytest.mark.slow
def test_moderate_noise(spark: SparkSession) -> None:
    table = people(3000, "moderate", seed=2)
    found = sm.dedup.fuzzy_records(frame_of(spark, table), WHOLE)
    pairs, clusters = agreements(table, found)
    assert min(pairs.f1, clusters.f1) >= 0.98
    # What the model expects of its own precision is not far from the truth.
    assert found.figures["expected_precision"] == pytest.approx(pairs.precision, abs=0.005)


@pytest.mark.slow
def test_partitions_change_nothing(spark: SparkSession) -> None:
    df = frame_of(spark, people(400, "moderate", seed=5))
    seen = []
    for partitions in (1, 3, 7):
        found = sm.dedup.fuzzy_records(df.repartition(partitions), WHOLE)
        seen.append(
            (
                sorted(map(tuple, found.clusters.collect())),
                sorted(map(tuple, found.pairs.collect())),
                found.levels,
                found.examples,
                found.figures,
            )
        )
    assert seen[0] == seen[1] == seen[2]


@pytest.mark.slow
def test_companies_and_products(spark: SparkSession) -> None:
    """Other kinds, each with a pair that only it brings together."""
    rows = [
        (2 * n + copy, *values)
        for n in range(120)
        for copy, values in enumerate(
            [
                (f"Möller {n} GmbH", f"red lamp model x{n} large", 10.0 + n, f"+49 30 {n:07}"),
                (f"The Moller {n}", f"Lamp red, x{n} model!", 10.02 + n, f"030-{n:07}"),
            ]
        )
    ]
    df = spark.createDataFrame(rows, "id int, firm string, title string, price double, tel string")
    linkage = Linkage(
        id="id",
        blocking=(("firm",), ("tel",)),
        comparisons=(
            comparison("company", "firm", term_frequency=False),
            comparison("words", "title"),
            comparison("number", "price"),
            comparison("phone", "tel"),
        ),
        training=Training(rules=(("firm",), ("tel",)), prior=0.005, sample_pairs=20_000),
    )
    found = sm.dedup.fuzzy_records(df, linkage)
    clusters = dict(found.clusters.collect())
    assert clusters == {2 * n + copy: 2 * n for n in range(120) for copy in (0, 1)}
    seen = {(level.comparison, level.level): level.m for level in found.levels}
    assert seen["firm", "equal"] == pytest.approx(1, abs=0.01)
    assert seen["title", "shared words ≥ 75 %"] == pytest.approx(1, abs=0.01)
    assert seen["price", "within 1 %"] == pytest.approx(1, abs=0.01)
