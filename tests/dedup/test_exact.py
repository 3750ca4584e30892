"""Exact duplicates against pandas: the same survivors whatever the partitioning."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pytest

from sparkmine.dedup import exact
from sparkmine.dedup.exact import Equality, Groups
from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession


@pytest.fixture(scope="module")
def rows() -> pd.DataFrame:
    """300 rows over 40 keys, with ties in the order and whole rows that are equal."""
    generator = np.random.default_rng(5)
    frame = pd.DataFrame(
        {
            "key": generator.integers(0, 40, 300),
            "amount": generator.integers(0, 5, 300) / 2,
            "shop": generator.choice(["a", "b", "c"], 300),
        }
    )
    return pd.concat([frame, frame.head(30)], ignore_index=True)


@pytest.mark.parametrize("partitions", [1, 3, 7])
def test_survivors_equal_those_of_pandas(
    spark: SparkSession, rows: pd.DataFrame, partitions: int
) -> None:
    df = spark.createDataFrame(rows).repartition(partitions)
    found = exact(df, ["key"], ["amount desc"]).toPandas()
    expected = rows.sort_values(["amount", "shop"], ascending=[False, True])
    expected = expected.drop_duplicates("key")
    order = ["key", "amount", "shop"]
    assert found.sort_values(order).values.tolist() == expected.sort_values(order).values.tolist()
    whole = exact(df).toPandas().sort_values(order)
    assert whole.values.tolist() == rows.drop_duplicates().sort_values(order).values.tolist()


def test_nulls_and_nans_are_equal_to_themselves(spark: SparkSession) -> None:
    values = [(None, 1.0), (None, 1.0), (float("nan"), 2.0), (float("nan"), 2.0), (-0.0, 3.0)]
    df = spark.createDataFrame([*values, (0.0, 3.0)], "x double, y double")
    assert exact(df).count() == 3
    assert exact(df, ["x"]).count() == 3


def _decided(df: DataFrame, **how: Any) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """The rows kept, and what is said of those removed, both sorted."""
    groups = Groups.of(df, Equality(**how))
    kept = sorted((tuple(row) for row in groups.kept().collect()), key=repr)
    removed = [(json.loads(r), json.loads(s), n) for r, s, n in groups.removed().collect()]
    return kept, sorted(removed, key=repr)


def _anyhow(spark: SparkSession, rows: list[tuple[Any, ...]], schema: str, **how: Any) -> Any:
    """The same for any order and partitioning of the rows."""
    first = _decided(spark.createDataFrame(rows, schema).coalesce(1), **how)
    turned = spark.createDataFrame(rows[::-1], schema).repartition(5)
    assert repr(_decided(turned, **how)) == repr(first)  # NaN is not itself
    return first


def test_values_are_compared_after_their_normalisation(spark: SparkSession) -> None:
    rows = [
        (1, "Ann@X.org ", 3),
        (2, "ann@x.org", 5),
        (3, "\uff41nn@x.org", 4),  # a full-width a
        (4, "bob@x.org", 1),
        (5, None, 1),
        (6, None, 2),
    ]
    kept, removed = _anyhow(
        spark,
        rows,
        "id int, email string, seen int",
        key=("email",),
        normalise={"email": ("nfkc", "spaces", "lower")},
        order_by=("seen",),
    )
    assert kept == [rows[0], rows[3], rows[4]]
    ann, nobody = {"email": "Ann@X.org "}, {"email": None}
    assert removed == [
        ({"id": 2, "email": "ann@x.org", "seen": 5}, ann, 1),
        ({"id": 3, "email": "\uff41nn@x.org", "seen": 4}, ann, 1),
        ({"id": 6, "email": None, "seen": 2}, nobody, 1),
    ]


def test_the_newest_or_the_most_complete_survives(spark: SparkSession) -> None:
    rows = [
        ("a", 1, None, 9),
        ("a", 2, "x", None),
        ("a", None, "y", 9),
        ("b", None, None, 1),
        ("b", None, "z", 1),
        ("c", 7, None, None),
    ]
    schema = "key string, day int, name string, rank int"
    newest, _ = _anyhow(spark, rows, schema, key=("key",), newest="day")
    # Of `b` no row has a day, and the columns decide, null first.
    assert newest == [rows[1], rows[3], rows[5]]
    whole, gone = _anyhow(
        spark, rows, schema, key=("key",), most_complete=True, order_by=("rank desc", "name desc")
    )
    # All of `a` have three values, two of them the rank 9, one of these no name.
    assert whole == [rows[2], rows[4], rows[5]]
    assert [(row["day"], row["name"]) for row, _, _ in gone] == [(1, None), (2, "x"), (None, None)]


def test_whole_rows_with_nested_columns(spark: SparkSession) -> None:
    """Maps are equal whatever the order of their entries; -0.0, NaN and null inside them too."""
    nan = float("nan")
    rows = [
        (0.0, [1.0, -0.0], {"a": nan, "b": None}, ("x", {1: [0.0]})),
        (-0.0, [1.0, 0.0], {"b": None, "a": nan}, ("x", {1: [-0.0]})),
        (-0.0, [1.0, -0.0], {"a": nan, "b": None}, ("x", {1: [0.0]})),
        (nan, None, {}, None),
        (nan, None, {}, None),
        (nan, None, None, None),
        (nan, [], {}, (None, None)),
    ]
    schema = "x double, `a.b` array<double>, `m``p` map<string, double>, "
    schema += "s struct<t: string, m: map<int, array<double>>>"
    kept, removed = _anyhow(spark, rows, schema)
    assert len(kept) == 4
    (first,) = (row for row in kept if row[0] == 0)
    # 0.0 goes before -0.0, column by column.
    assert repr(first[0]) == "0.0" and repr(first[1]) == "[1.0, -0.0]"
    assert sorted(n for _, _, n in removed) == [1, 2]
    assert all(row == survivor for row, survivor, _ in removed)
    assert {row["a.b"] is None for row, _, _ in removed} == {True, False}


def test_keys_and_orders_of_any_name_and_type(spark: SparkSession) -> None:
    rows = [
        ({"b": 1, "a": 2}, (1, {"x": 2.0}), 0.0, 5),
        ({"a": 2, "b": 1}, (1, {"x": 1.0}), -0.0, 5),
        ({"a": 2}, (3, {}), 1.0, 1),
        ({"a": 2}, (3, {}), 1.0, 1),
    ]
    schema = "`k.e``y` map<string, int>, `or der` struct<n: int, m: map<string, double>>, "
    schema += "_place double, size int"
    kept, removed = _anyhow(spark, rows, schema, key=("k.e`y",), order_by=("size desc", "`or der`"))
    assert [row[1:] for row in kept] == [((1, {"x": 1.0}), -0.0, 5), ((3, {}), 1.0, 1)]
    assert [row["_place"] for row, _, _ in removed] == [0.0, 1.0]
    # What differs in the sign of a zero alone, in the key or beside it.
    signs = [(1, -0.0, 7.0), (1, 0.0, 7.0), (2, 7.0, 0.0), (2, 7.0, -0.0)]
    for key in (("x", "id"), ("id",)):
        kept, _ = _anyhow(spark, signs, "id int, x double, y float", key=key)
        assert repr(kept) == "[(1, 0.0, 7.0), (2, 7.0, 0.0)]"


def test_text_of_another_collation(spark: SparkSession) -> None:
    """Letters that the collation takes for equal are one key; the greatest by bytes survives."""
    rows = [("One", 1), ("ONE", 1), ("two", 1)]
    schema = "word string collate UTF8_LCASE, n int"
    kept, removed = _anyhow(spark, rows, schema, key=("word",))
    assert kept == [("One", 1), ("two", 1)] and removed[0][0] == {"word": "ONE", "n": 1}
    assert _anyhow(spark, rows, schema)[0] == kept


def test_figures(spark: SparkSession, rows: pd.DataFrame) -> None:
    groups = Groups.of(spark.createDataFrame(rows), Equality(key=("key",), order_by=("shop",)))
    figures = groups.figures()
    sizes = rows.groupby("key").size()
    assert [figures[name] for name in ("rows", "groups", "removed", "repeated")] == [
        len(rows),
        len(sizes),
        len(rows) - len(sizes),
        int((sizes > 1).sum()),
    ]
    largest = [(json.loads(name)["key"], size) for name, size in figures["largest"]]
    assert [size for _, size in largest] == sorted(sizes, reverse=True)[:10]
    assert all(sizes[key] == size for key, size in largest)
    inside = rows.sort_values(["shop", "amount"])
    for (kept, gone, number), (key, size) in zip(figures["examples"], largest, strict=False):
        first, second = inside[inside["key"] == key].head(2).to_dict("records")
        assert (json.loads(kept), json.loads(gone), number) == (first, second, size - 1)
    assert len(figures["examples"]) == 5
    whole = Groups.of(spark.createDataFrame(rows), Equality()).figures()
    assert whole["removed"] == int(rows.duplicated().sum())
    counts = sorted(rows.groupby(list(rows.columns)).size(), reverse=True)
    assert [size for _, size in whole["largest"]] == counts[:10]
    assert whole["examples"][0][1:] == ("", counts[0] - 1)
    none = Groups.of(spark.range(3), Equality(key=("id",))).figures()
    assert (none["removed"], none["largest"], none["examples"]) == (0, [], [])


def test_one_shuffle(spark: SparkSession) -> None:
    df = spark.range(9, numPartitions=3).selectExpr("id % 4 id", "string(id) text", "map(id, 1) m")
    how: list[dict[str, Any]] = [
        {"key": ("id",), "order_by": ("text desc",)},
        {"key": ("text", "m"), "normalise": {"text": ("nfkc", "lower")}, "newest": "id"},
        {},
    ]
    for choices in how:
        groups = Groups.of(df, Equality(**choices))
        plan = groups.rows._jdf.queryExecution().executedPlan().toString()
        assert plan.count("Exchange hashpartitioning") == 1 == plan.count("Exchange")


@pytest.mark.parametrize(
    ("how", "says"),
    [
        ({"key": ("id",), "normalise": {"other": ("lower",)}}, "'other', which is not in the key"),
        ({"key": ("id",), "normalise": {"id": ("lower",)}}, "it is bigint, no text"),
        ({"key": ("id",), "normalise": {"id": ()}}, "by no steps"),
        ({"key": ("id",), "normalise": {"id": ("trim",)}}, "text repairs are nfkc"),
        ({"key": ("id",), "newest": "id", "most_complete": True}, "newest or the most complete"),
        ({"key": ("id",), "newest": "gone"}, "reads column 'gone'"),
        ({"most_complete": True}, "has no order"),
    ],
)
def test_choices_that_do_not_go_together(
    spark: SparkSession, how: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigError, match=says):
        Groups.of(spark.range(1), Equality(**how))


@pytest.mark.parametrize(
    ("key", "order", "says"),
    [
        (["gone"], [], "reads column 'gone'"),
        (["id"], ["gone desc"], "reads column 'gone'"),
        (["id"], ["id down"], "write a column, or a column and desc"),
        ([], [], "at least one key column"),
        (None, ["id"], "has no order"),
    ],
)
def test_mistakes(spark: SparkSession, key: list[str] | None, order: list[str], says: str) -> None:
    with pytest.raises(ConfigError, match=says):
        exact(spark.range(1), key, order)
