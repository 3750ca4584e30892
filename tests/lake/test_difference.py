"""Comparing frames row by row: a case for each kind of value, and a big one against pandas."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
from pyspark.sql import functions as F

from sparkmine.lake.difference import Difference, difference

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ROWS = """
    select id, concat('n', id % 3) as name, cast(id as decimal(20, 3)) / 8 as price,
      case when id = 4 then null when id = 5 then double('NaN') when id = 6 then double('-Infinity')
        when id = 7 then 0.0d else id / 3.0d end as x,
      array(id / 7.0d, null) as v, map('k', id / 7.0d) as m,
      named_struct('a', id, 'b', id / 7.0d) as s,
      timestamp'2026-01-01 00:00:00' + make_interval(0, 0, 0, 0, cast(id as int)) as t
    from range(20)
"""


# By the row in which it is: a column computed anew, and whether that is another value.
CHANGES = {
    0: ("x", "x * (1 + 1e-8)", False),  # zero
    1: ("name", "'N1'", True),
    2: ("price", "price + 0.001", True),
    3: ("x", "x * (1 + 1e-8)", True),
    4: ("x", "0.0d", True),  # null
    5: ("x", "null", True),  # NaN
    6: ("x", "double('Infinity')", True),  # -Infinity
    7: ("x", "1e-300", True),  # zero
    8: ("v", "reverse(v)", True),
    9: ("v", "transform(v, e -> e * (1 + 1e-12))", False),
    10: ("m", "map('k', m['k'] * (1 + 1e-6))", True),
    11: ("m", "map('k', m['k'] * (1 - 1e-12))", False),
    12: ("s", "named_struct('a', s.a, 'b', s.b * (1 + 1e-6))", True),
    13: ("s", "named_struct('a', s.a + 1, 'b', s.b)", True),
    14: ("t", "t + interval 1 microsecond", True),
    15: ("v", "array(id / 7.0d)", True),
}


def test_each_kind_of_value(spark: SparkSession) -> None:
    left = spark.sql(ROWS)
    right = left
    for number, (column, change, _) in CHANGES.items():
        kind = left.schema[column].dataType.simpleString()
        value = f"if(id = {number}, cast({change} as {kind}), {column})"
        right = right.withColumn(column, F.expr(value))
    found = difference(left, right.repartition(3), show=20)
    differ = [number for number, (_, _, other) in CHANGES.items() if other]
    assert found is not None and (found.only_left, found.only_right) == (len(differ),) * 2
    ids = sorted(json.loads(text[: text.index("}") + 1])["id"] for text in found.examples)
    assert ids == differ
    noisy = left.withColumn("x", F.expr("x * (1 + 1e-10)")).repartition(3)
    assert difference(left, noisy) is None


@pytest.mark.slow
def test_rows_count_as_often_as_they_are_there(spark: SparkSession) -> None:
    twice = spark.createDataFrame([(1, 0.5), (1, 0.5), (2, 0.5)], "k int, x double")
    noisy = spark.createDataFrame([(1, 0.5 + 1e-12), (1, 0.5), (2, 0.5)], "k int, x double")
    assert difference(twice, noisy) is None
    assert difference(twice, noisy.where("k = 1")) == Difference(
        only_left=1, examples=('only in left: {"k": 2, "x": 0.5}',)
    )
    found = difference(twice.distinct(), twice)
    assert found is not None and (found.only_left, found.only_right) == (0, 1)


def test_columns_are_compared_by_name_and_type(spark: SparkSession) -> None:
    left = spark.sql("select 1 as a, 'x' as b")
    assert difference(left, spark.sql("select 'x' as b, 1 as a").select("a", "b")) is None
    for query, says in (
        ("select 1 as a", "right lacks the column 'b'"),
        ("select 1 as a, 'x' as b, 2 as c", "right has a column more, 'c'"),
        ("select 1L as a, 'x' as b", "column 'a' is int in left and bigint in right"),
    ):
        found = difference(left, spark.sql(query))
        assert found is not None and found.columns == says


def test_examples_name_the_row_and_what_differs(spark: SparkSession) -> None:
    schema = "household int, week int, score double, model string"
    left = spark.createDataFrame([(7, 1, 0.25, "tree"), (8, 1, 0.5, "tree")], schema)
    right = spark.createDataFrame([(7, 1, 0.75, "tree"), (8, 1, 0.5, "tree")], schema)
    found = difference(left, right, ("the run", "the replay"))
    assert found is not None and found.examples == (
        '{"household": 7, "week": 1, "model": "tree"}: score 0.25 in the run, 0.75 in the replay',
    )


@pytest.mark.slow
def test_noise_in_every_row_against_pandas(spark: SparkSession) -> None:
    """Without a key: several doubles, some rows equal but for noise, others really different."""
    generator = np.random.default_rng(3)
    group = generator.integers(0, 40, 3000)
    left = pd.DataFrame({"g": group, "x": generator.normal(size=3000), "y": group / 3.0})
    right = left.sample(frac=1.0, random_state=1).reset_index(drop=True)
    right["x"] *= 1 + generator.uniform(-1, 1, 3000) * 1e-11
    far = generator.choice(3000, 25, replace=False)
    right.loc[far, "x"] += 1.0
    found = difference(spark.createDataFrame(left), spark.createDataFrame(right))
    assert found is not None and (found.only_left, found.only_right) == (25, 25)
