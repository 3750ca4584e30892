"""Buckets, dates, expressions and assembled vectors, by hand and against NumPy and pandas."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn.preprocessing import KBinsDiscretizer

from sparkmine.errors import RecipeError
from sparkmine.recipe import operator_from, operators
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.selectors import parse_selector, select

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(9)
MOMENTS = pd.Timestamp("1950-01-01", tz="UTC") + pd.Series(
    pd.to_timedelta(RNG.integers(0, 3_000_000_000, 500), unit="s")
)
DATES = pa.table({"t": pa.array(MOMENTS.dt.as_unit("us")), "d": pa.array(MOMENTS.dt.date)})


def test_equal_widths_equal_scikit_learn(fit: Any) -> None:
    values = RNG.normal(3, 2, 1000)
    fitted = fit(operators.BucketizeWidth(buckets=7), pa.table({"x": values}))
    found = fitted.transform(pa.table({"x": values})).column("x").to_pylist()
    reference = KBinsDiscretizer(7, encode="ordinal", strategy="uniform", subsample=None)
    assert found == reference.fit_transform(values[:, None])[:, 0].tolist()
    assert fitted.outcome.infos["x"] == ColumnInfo("x", "bucket", 7, ("x",))


def test_given_edges_equal_numpy(fit: Any) -> None:
    values = np.array([-INF, -1.0, 0.0, 0.5, 2.0, 9.0, INF])
    edges = [-1, 0.5, 2]
    table = pa.table({"x": [*values, None, NAN]})
    found = fit(operators.BucketizeAt(edges=edges), table).transform(table).column("x")
    assert found.to_pylist() == [*np.digitize(values, edges), None, None]


def test_buckets_of_flat_columns(fit: Any) -> None:
    table = pa.table(
        {"c": [0.1] * 3, "e": pa.array([None] * 3, pa.float64()), "x": [1.0, NAN, INF]}
    )
    fitted = fit(operators.BucketizeWidth(buckets=3), table)
    found = fitted.transform(table).to_pydict()
    assert found == {"c": [0.0] * 3, "e": [None] * 3, "x": [0.0, None, 0.0]}
    assert fitted.outcome.infos["e"].cardinality == 1


def test_parts_equal_pandas(fit: Any) -> None:
    parts = ["year", "quarter", "month", "day", "weekday", "day_of_year", "hour", "minute"]
    fitted = fit(operators.DateParts(parts=parts), DATES)
    assert fitted.outcome.dropped == ("t", "d") and fitted.rounds == 0
    found = fitted.transform(DATES).to_pydict()
    for part in parts:
        assert found[f"t_{part}"] == getattr(MOMENTS.dt, part).tolist()
        midnight = part in ("hour", "minute")
        assert found[f"d_{part}"] == ([0] * 500 if midnight else found[f"t_{part}"])


@pytest.mark.parametrize("period", ["weekday", "month", "hour", "day_of_year"])
def test_circles(fit: Any, period: str) -> None:
    operator = operators.CyclicDate(columns=select("t"), period=period, keep_source=True)
    found = fit(operator, DATES).transform(DATES)
    assert "t" in found.schema.names
    sine, cosine = (
        np.array(found.column(f"t_{period}_{name}").to_pylist()) for name in ("sin", "cos")
    )
    assert np.allclose(sine**2 + cosine**2, 1.0)
    length = {"weekday": 7, "month": 12, "hour": 24, "day_of_year": 365.25}[period]
    first = 1 if period in ("month", "day_of_year") else 0
    turns = np.mod(np.arctan2(sine, cosine) / (2 * np.pi), 1.0) * length
    expected = getattr(MOMENTS.dt, period).to_numpy() - first
    assert np.allclose(np.mod(turns + 0.01, length) - 0.01, expected % length, atol=1e-6)


def test_time_since(fit: Any) -> None:
    for since in ("2001-02-03", "2001-02-03T01:00:00+01:00", datetime.date(2001, 2, 3)):
        found = fit(operators.TimeSince(since=since, columns=select("t")), DATES)
        days = np.array(found.transform(DATES).column("t_since").to_pylist())
        expected = (MOMENTS - pd.Timestamp("2001-02-03", tz="UTC")) / pd.Timedelta("1D")
        assert np.allclose(days, expected, rtol=1e-12)
    table = pa.table(
        {
            "start": pa.array([datetime.date(2024, 2, 28), None, datetime.date(2024, 3, 1)]),
            "end": pa.array([datetime.date(2024, 3, 1), datetime.date(2024, 3, 1), None]),
        }
    )
    operator = operators.TimeSince(columns=select("end"), since_column="start", output="wait")
    assert fit(operator, table).transform(table).column("wait").to_pylist() == [2.0, None, None]
    assert operator.reads == ("start",)


def test_expressions(fit: Any) -> None:
    table = pa.table({"a": [1.0, None, NAN, INF], "b": [2, 0, 1, 1], "w": ["x", "y", None, "z"]})

    def made(text: str) -> tuple[list[Any], str]:
        fitted = fit(operators.Expression(expression=text, output="new"), table)
        found = fitted.transform(table)
        assert found.schema.names == ["a", "b", "w", "new"]
        return found.column("new").to_pylist(), fitted.outcome.infos["new"].kind

    values, kind = made("a * 2 + b")
    assert values[:2] == [4.0, None] and math.isnan(values[2]) and values[3] == INF
    assert kind == "number"
    assert made("b > 0 and w is not null") == ([True, False, False, True], "boolean")
    assert made("case when b = 0 then null else upper(w) end")[1] == "text"
    assert made("coalesce(w, 'none')") == (["x", "y", "none", "z"], "text")
    assert made("1 + 1") == ([2.0] * 4, "number")
    operator = operators.Expression(expression="a + b", output="new")
    assert str(operator.columns) == "select('a', 'b')"
    with pytest.raises(RecipeError, match="'nope'"):
        made("nope + 1")


def test_vectors(fit: Any) -> None:
    table = pa.table(
        {
            "x": [1.0, None, 3.0],
            "i": [1, 2, 3],
            "v": pa.array([[7.0, 8.0], [9.0], None]),
            "f": [True, False, True],
            "w": ["a", "b", "c"],
        }
    )
    fitted = fit(operators.Assemble(), table)
    found = fitted.transform(table)
    assert found.schema.names == ["w", "features"]
    vectors = [[1.0, 1.0, 7.0, 8.0, 1.0], [None, 2.0, 9.0, 0.0], None]
    assert found.column("features").to_pylist() == vectors
    assert fitted.outcome.infos["features"].cardinality is None
    numbers = fit(operators.Assemble(columns=parse_selector("numeric()"), output="n"), table)
    assert numbers.outcome.infos["n"] == ColumnInfo("n", "vector", 2, ("x", "i"))
    with pytest.raises(RecipeError, match="'w' is of kind text"):
        fit(operators.Assemble(columns=select("w")), table)
    with pytest.raises(RecipeError, match="selects no column"):
        fit(operators.Assemble(columns=parse_selector("temporal()")), table)


@pytest.mark.parametrize(
    "operator",
    [
        operators.Expression(expression="a + b", output="new"),
        operators.Expression(expression="1", output="new"),
        operators.DateParts(),
        operators.BucketizeAt(edges=(1, 2.5)),
        operators.TimeSince(since="2020-01-01"),
        operators.HashTfIdf(),
        operators.TfIdf(stop_words=("a", "the"), ngrams=(1, 2)),
        operators.TokenSequence(stop_words="english"),
        operators.DropSparseColumns(),
        operators.ImputeConstant(value=2),
        operators.Assemble(),
        operators.MultiHot(),
    ],
    ids=lambda o: type(o).__name__,
)
def test_parameters_are_json(operator: Any) -> None:
    written = json.loads(json.dumps(operator.parameters()))
    assert written == operator.parameters()
    assert operator_from(type(operator).__name__, written) == operator


def test_wrong_parameters_are_refused() -> None:
    for make, match in [
        (lambda: operators.BucketizeWidth(buckets=1), "at least 2"),
        (lambda: operators.BucketizeAt(edges=[2, 1]), "ascending"),
        (lambda: operators.BucketizeAt(), "ascending"),
        (lambda: operators.BucketizeAt(edges=[0, INF]), "finite"),
        (lambda: operators.DateParts(parts=["week"]), "weekday"),
        (lambda: operators.DateParts(output="x"), "leave out output="),
        (lambda: operators.CyclicDate(period="year"), "day_of_year"),
        (lambda: operators.TimeSince(), "either since="),
        (lambda: operators.TimeSince(since="2020-01-01", since_column="x"), "either since="),
        (lambda: operators.TimeSince(since="yesterday"), "'yesterday'"),
        (lambda: operators.TimeSince(since="2020-01-01", unit="weeks"), "seconds, hours, days"),
        (lambda: operators.Expression(expression="a + 1"), "output="),
        (lambda: operators.Expression(expression="a +", output="x"), "cannot read"),
        (lambda: operators.Expression(expression="a", output="x", columns=select("b")), "leave"),
        (lambda: operators.Assemble(output=None), "output="),
    ]:
        with pytest.raises(RecipeError, match=match):
            make()
