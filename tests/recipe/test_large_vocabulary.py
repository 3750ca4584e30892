"""Columns of more categories than the driver holds: files instead of memory, the same values."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.errors import RecipeError
from sparkmine.expr import FiledVocabulary, Lookup, Vocabulary
from sparkmine.recipe import FittedRecipe, Recipe, operators
from sparkmine.recipe.selectors import select
from sparkmine.stats import Memory, engine, here

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Lake, Snapshot

LIMIT = 50


def rows(count: int, seed: int, first: int = 0) -> pa.Table:
    rng = np.random.default_rng(seed)
    codes = first + rng.zipf(1.4, count) % 400
    who = [None if i % 11 == 0 else f"Zoë {code}" for i, code in enumerate(codes)]
    return pa.table(
        {
            "id": np.arange(count) + 10_000 * seed,
            "code": codes,
            "who": pa.array(who),
            "y": rng.integers(0, 2, count),
        }
    )


def recipe(*more: Any) -> Recipe:
    both = select("code", "who")
    return Recipe(
        operators.OrdinalIndex(columns=both, output="{}_index"),
        operators.OrdinalIndex(columns=both, min_count=2, top_k=120, output="{}_frequent"),
        operators.FrequencyEncode(columns=both, top_k=None, output="{}_share"),
        operators.TargetEncode(columns=both, min_count=2, output="{}_mean"),
        *more,
        keys=["id"],
        label="y",
    )


def tables(fitted: FittedRecipe) -> list[Vocabulary]:
    outcomes = [step.outcome for step in fitted.steps]
    exprs = [expr for one in outcomes for expr in (*one.outputs.values(), *one.training.values())]
    return [node.table for expr in exprs for node in expr.walk() if isinstance(node, Lookup)]


def large(fitted: FittedRecipe) -> bool:
    return all(isinstance(table, FiledVocabulary) for table in tables(fitted))


def small(fitted: FittedRecipe) -> bool:
    return not any(isinstance(table, FiledVocabulary) for table in tables(fitted))


def by_id(data: pa.Table | DataFrame) -> dict[str, list[Any]]:
    """The values; Spark's fields may be not nullable."""
    table = data if isinstance(data, pa.Table) else data.toArrow()
    return table.sort_by("id").to_pydict()


SAMPLE = pa.concat_tables([rows(500, 8), rows(60, 9, first=300)])  # some were never seen


@pytest.fixture
def stored(spark: SparkSession, lake: Lake) -> tuple[Snapshot, Snapshot]:
    """A table, and the same with rows appended: new categories, and rare ones that rise."""
    table = lake.table("rows")
    table.write(spark.createDataFrame(rows(3000, 1)))
    before = table.snapshot()
    table.write(spark.createDataFrame(rows(900, 2, first=200)), mode="append")
    return before, table.snapshot()


@pytest.fixture
def spark(spark: SparkSession) -> Iterator[SparkSession]:
    """Small shuffles keep their partitions: numbers go on from file to file."""
    settings = {
        "spark.sql.shuffle.partitions": "3",
        "spark.sql.adaptive.coalescePartitions.enabled": "false",
    }
    before = {name: spark.conf.get(name) for name in settings}
    for name, value in settings.items():
        spark.conf.set(name, value)
    yield spark
    for name, value in before.items():
        spark.conf.set(name, str(value))


def make_large(patch: pytest.MonkeyPatch) -> None:
    """From now on the executors scan, and vocabularies are files, joined without broadcast."""
    patch.setattr(here, "BYTES", -1)
    patch.setattr(engine, "DRIVER_KEYS", LIMIT)
    patch.setattr("sparkmine.expr.join.BROADCAST_KEYS", LIMIT)


@pytest.mark.slow
def test_files_and_memory_give_the_same(
    spark: SparkSession,
    stored: tuple[Snapshot, Snapshot],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    before, after = stored
    plain = recipe().fit(before)
    plain_later = plain.update(after)
    make_large(monkeypatch)
    fitted = recipe().fit(before)
    assert small(plain) and large(fitted) and fitted.scans == plain.scans == 1
    assert fitted.describe() == plain.describe()
    assert [step.outcome.infos for step in fitted.steps] == [
        step.outcome.infos for step in plain.steps
    ]
    frame = spark.createDataFrame(SAMPLE)
    expected = by_id(plain.transform_arrow(SAMPLE))
    assert by_id(plain.transform(frame)) == expected
    assert by_id(fitted.transform(frame)) == expected
    assert not any("keys" in vars(table) for table in tables(fitted))  # Spark alone needed them
    assert by_id(fitted.transform_arrow(SAMPLE)) == expected
    assert len(tables(fitted)[0].files) == 3  # type: ignore[attr-defined]
    # A rerun is the same run, whatever the files are called and how they are cut.
    again = recipe().fit(before)
    assert [t.digest for t in tables(again)] == [t.digest for t in tables(fitted)]

    fitted.save(tmp_path / "re[c] {ipe}*")
    loaded = FittedRecipe.load(tmp_path / "re[c] {ipe}*")
    assert large(loaded) and [t.digest for t in tables(loaded)] == [
        t.digest for t in tables(fitted)
    ]
    assert by_id(loaded.transform(frame)) == expected
    assert not any("keys" in vars(table) for table in tables(loaded))

    later = loaded.update(after)
    assert large(later) and later.scans == 1
    expected = by_id(plain_later.transform_arrow(SAMPLE))
    later.save(tmp_path / "re[c] {ipe}*")  # in place of what it came from
    assert by_id(later.transform(frame)) == expected
    assert by_id(later.transform_arrow(SAMPLE)) == expected
    assert later.describe() == plain_later.describe()


@pytest.mark.slow
def test_a_vocabulary_outgrows_the_driver(
    spark: SparkSession, stored: tuple[Snapshot, Snapshot], monkeypatch: pytest.MonkeyPatch
) -> None:
    before, after = stored
    fitted = recipe().fit(before)
    expected = fitted.update(after).transform_arrow(SAMPLE)
    make_large(monkeypatch)
    grown = fitted.update(after)
    assert small(fitted) and large(grown)
    assert expected.equals(grown.transform_arrow(SAMPLE))
    fitted = recipe().fit(before)
    monkeypatch.undo()  # a driver that holds more
    shrunk = fitted.update(after)
    assert large(fitted) and not large(shrunk)
    assert expected.equals(shrunk.transform_arrow(SAMPLE))


@pytest.mark.slow
def test_training_rows_are_encoded_out_of_fold(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    scaled = operators.Standardize(columns=select("who_mean"), output="{}_scaled")
    frame = spark.createDataFrame(rows(1000, 1))
    plain, expected = recipe(scaled).fit_transform(frame, fold="id")
    make_large(monkeypatch)
    fitted, found = recipe(scaled).fit_transform(frame, fold="id")
    assert isinstance(tables(fitted)[0], FiledVocabulary)
    left, right = by_id(found), by_id(expected)
    assert np.allclose(left.pop("who_mean_scaled"), right.pop("who_mean_scaled"), rtol=1e-9)
    assert left == right
    assert plain.describe() == fitted.describe()


@pytest.mark.slow
def test_a_cluster_needs_a_folder_that_all_see(
    spark: SparkSession,
    stored: tuple[Snapshot, Snapshot],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    before, after = stored
    kept = recipe().fit(before, scratch=tmp_path / "scratch")
    assert len(list((tmp_path / "scratch").iterdir())) == 1
    monkeypatch.setattr("sparkmine.recipe.fitting.is_local", lambda spark: False)
    # An update works without scratch, but keeps no counts, as a fit.
    once = kept.update(after)
    assert once.transform_arrow(SAMPLE).num_rows == SAMPLE.num_rows
    for unkept in (once, recipe().fit(before)):
        with pytest.raises(RecipeError, match=r"operator 1 \(OrdinalIndex\).* was not kept"):
            unkept.update(after)
    again = kept.update(after, scratch=tmp_path / "scratch")
    assert again.update(after).transform_arrow(SAMPLE).equals(once.transform_arrow(SAMPLE))
    make_large(monkeypatch)
    with pytest.raises(RecipeError, match=r"column 'code' has \d+ categories.*50.*give scratch="):
        recipe().fit(before)
    with pytest.raises(RecipeError, match="give scratch="):
        kept.update(after)
    assert large(recipe().fit(before, scratch=tmp_path / "scratch"))


def test_one_column_a_category_is_refused(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_large(monkeypatch)
    one_hot = Recipe(operators.OneHot(columns=select("who"), top_k=None), keys=["id"])
    with pytest.raises(RecipeError, match=r"column 'who': \d+ categories are too many here"):
        one_hot.fit(spark.createDataFrame(rows(2000, 1)))


def test_a_folder_that_not_all_share_is_refused(
    spark: SparkSession, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    make_large(monkeypatch)
    monkeypatch.setattr(Memory, "files", lambda self, key: iter(()))
    with pytest.raises(
        RecipeError, match=r"executors wrote 3 files .* the driver sees 0: scratch="
    ):
        recipe().fit(spark.createDataFrame(rows(2000, 1)), scratch=tmp_path)


def peak_mib() -> float:
    """The largest memory of this process since it was last reset, without its JVM."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status["VmHWM"].split()[0]) / 1024


@pytest.mark.slow
def test_ten_million_categories_do_not_pass_through_the_driver(spark: SparkSession) -> None:
    count = 10_000_000
    frame = spark.range(count).selectExpr("id", "concat('k', lpad(id, 9, '0')) AS who")
    index = Recipe(operators.OrdinalIndex(columns=select("who")), keys=["id"])
    Path("/proc/self/clear_refs").write_text("5")  # resets the peak
    start = peak_mib()
    fitted = index.fit(frame)
    sample = frame.where("id % 1000003 = 5")
    found = fitted.transform(sample).orderBy("id").collect()
    assert peak_mib() - start < 300
    (table,) = tables(fitted)
    assert isinstance(table, FiledVocabulary) and len(table) == count
    # All occur once: they are numbered in their own order.
    assert [(row["id"], row["who"]) for row in found] == [
        (number, number + 2) for number in range(5, count, 1000003)
    ]
