"""One expression, two engines: Spark and Arrow give the same values, nulls and NaNs."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from sparkmine.errors import ExpressionError
from sparkmine.expr import Array, Expr, col, evaluate, function, lit, parse, to_column, when

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NAN, INF = math.nan, math.inf
TABLE = pa.table(
    {
        "x": pa.array([1.5, None, NAN, -3.0, INF, -INF, 0.0, -0.0, 2.0]),
        "y": pa.array([0.0, 1.0, 2.0, NAN, 1.0, None, 0.0, 5.0, 2.0]),
        "i": pa.array([1, 2, None, 4, 5, 6, 0, -8, 9], pa.int64()),
        "s": pa.array(["a", "B ", None, " 12 ", "1e3", "nan", "", "ä", "true"]),
        "z": pa.array(
            [
                *("2017-02-28", "2017-02-30", "2017-99-99", "2016-02-29 23:59:59.5"),
                *("2017-01-01 24:00:00", "2017-01-01T10:61", None, "1800-1-7", "1900-02"),
            ]
        ),
        "b": pa.array([True, False, None] * 3),
        "d": pa.array([datetime.date(2017, 1, day) for day in range(1, 9)] + [None]),
        "t": pa.array(
            [
                datetime.datetime(1969, 12, 31, 23, 59, 59, 999999),
                datetime.datetime(1970, 1, 1),
                None,
                datetime.datetime(2024, 2, 29, 12, 30, 1, 5),
                *[datetime.datetime(1900 + 40 * k, 3 * k, 31 - 7 * k, k) for k in range(1, 5)],
                datetime.datetime(2023, 12, 31, 0, 0, 1),
            ],
            pa.timestamp("us", tz="UTC"),
        ),
        "w": pa.array([["a", "b"], [], None, [None], ["a", None], ["ä", "ä"], ["b"], [""], ["a"]]),
        "v": pa.array([[1.0, 2.0], [3.0], None, [], [4.0, None], [5.0], [6.0], [7.0], [8.0]]),
    }
)
EXPRESSIONS = [
    *("x + y", "x - i", "x * 2", "x / y", "i / 0", "-x", "x = y", "x <> y", "x < y", "x <= y"),
    *(
        "x > y",
        "x >= y",
        "i = 4",
        "i between 1 and 5",
        "s = 'a'",
        "s in ('a', 'B ')",
        "i in (1, 2)",
    ),
    *("i not in (1, null)", "x is null", "x is not null", "isnan(x)", "not b", "b and x > 0"),
    *("b or x > 0", "case when x > 1 then 1.0 when x < 0 then -1.0 else 0.0 end"),
    *("case when b then x end", "coalesce(x, y, 0.0)", "least(x, y)", "greatest(x, y)"),
    *("abs(x)", "sqrt(x)", "exp(x)", "ln(x)", "log1p(x)", "floor(x)", "ceil(x)", "lower(s)"),
    *("upper(s)", "trim(s)", "length(s)", "cast(s as double)", "cast(s as boolean)"),
    *("cast(x as bigint)", "cast(i as string)", "cast(b as double)", "d >= '2017-01-03'"),
    *("cast(t as bigint)", "cast(t as double)", "cast(s as date)", "cast(z as date)"),
    *("cast(cast(z as timestamp) as double)", "cast(cast(i as timestamp) as double)"),
    *("cast('2017-01-05' as date) = d", "null = x", "x > 0 and null", "s + 1", "abs(s)"),
    *("sin(x)", "cos(i)", "expm1(x)", "pow(x, y)", "pow(x, i)", "power(i, 0.5)", "pow(y, x)"),
    *("pmod(i, 3)", "pmod(x, -2)", "pmod(i, y)", "year(d)", "quarter(d)", "month(d)", "day(t)"),
    *("weekday(d)", "weekday(t)", "dayofyear(t)", "hour(t)", "hour(d)", "minute(t)", "seconds(t)"),
    *("seconds(d)", "year('2017-03-04')", "month(s)", "hash(s)", "hash(b)", "pmod(hash(i), 16)"),
    *("s rlike '^[a-c]$'", "s rlike r'\\s'", "not s rlike r'\\d+|ä'", "regexp_like(i, r'^-?\\d$')"),
    *("concat(s, 'x', b)", "array_contains(w, 'a')", "not array_contains(w, 'ä')", "concat(s)"),
    *("substr(s, 1, 1)", "substring(s, 2, 3)", "left(i, 2)", "substr(s, 9, 1)"),
]


def same(left: Any, right: Any) -> bool:
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(same, left, right))
    if isinstance(left, float) and isinstance(right, float):
        return (
            left == right
            or (math.isnan(left) and math.isnan(right))
            or (math.isclose(left, right, rel_tol=1e-12))
        )
    return bool(left == right)


def test_spark_and_arrow_agree(spark: SparkSession) -> None:
    built: dict[str, Expr] = {text: parse(text) for text in EXPRESSIONS}
    concat_line = function("concat", col("s"), "[\r\n")
    built["item 0"] = col("v").item(0)
    built["item 1"] = col("v").item(1)
    built["lookup"] = col("s").lookup({"a": 1.0, "ä": 2.0}, default=-1.0)
    built["lookup, no default"] = col("s").lookup({"a": 1.0})
    built["lookup, empty"] = col("s").lookup({}, default=7.0)
    built["bucket"] = col("x").bucket([-1.0, 0.0, 1.5])
    built["line"] = col("x").interpolate([-2.0, 0.0, 0.3, 1.7], [0.0, 5.0, 1.0, -1 / 3])
    built["line of two"] = col("y").interpolate([0.5, 4.0], [0.0, 1.0])
    built["line of one"] = col("x").interpolate([1.0], [7.0])
    many = sorted({round(math.sin(k), 2) * 4 for k in range(100)})
    built["bucket of many"] = col("x").bucket(many)
    built["bucket of many nested"] = (col("x").bucket(many) / 20).bucket(many)
    built["line of many"] = col("x").interpolate(many, [math.cos(k) for k in range(len(many))])
    built["line of an edge"] = col("y").interpolate([*range(40)], [*range(40)])
    built["array"] = Array((col("x"), col("i"), lit(2), col("b"), col("s")))
    built["array of vectors"] = function("concat_arrays", Array((col("x"),)), col("v"), col("v"))
    built["when"] = when(col("x") > 0, col("i")).when(col("b"), 100).otherwise(None)
    built["functions"] = function("greatest", col("x"), 0.0, col("y"))
    for pattern in ("^[a-zä ]*$", r"[[&]|\x31", "a.", r"(?:1{1,2}?|e)\d", r"\p{Lu}", r"[^\s]$", ""):
        built[f"matches {pattern}"] = concat_line.matches(pattern)
    frame = spark.createDataFrame(TABLE).coalesce(1)
    names = list(built)
    rows = frame.select(*(to_column(built[n]).alias(str(i)) for i, n in enumerate(names))).collect()
    for index, name in enumerate(names):
        arrow = evaluate(built[name], TABLE).to_pylist()
        native = [row[index] for row in rows]
        assert len(arrow) == TABLE.num_rows
        pairs = list(zip(arrow, native, strict=True))
        assert all(same(a, b) for a, b in pairs), f"{name}: {pairs}"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x / y", [None, None, NAN, NAN, INF, None, None, 0.0, 1.0]),
        ("x > 1", [True, None, True, False, True, False, False, False, True]),
        ("least(x, 1)", [1.0, 1.0, 1.0, -3.0, 1.0, -INF, 0.0, 0.0, 1.0]),
        ("x > 0 or b", [True, None, True, True, True, None, True, False, True]),
    ],
)
def test_values_by_hand(text: str, expected: list[Any]) -> None:
    found = evaluate(parse(text), TABLE).to_pylist()
    assert all(same(a, b) for a, b in zip(found, expected, strict=True)), found


def test_json_round_trip() -> None:
    for text in EXPRESSIONS:
        expr = parse(text)
        assert Expr.from_json(expr.to_json()).same(expr)
    shapes = (Array((col("x"), lit(1))), col("x").interpolate([0, 1], [1, 0]))
    for expr in (
        *shapes,
        col("x") > NAN,
        col("d") == datetime.date(2017, 1, 2),
        col("x").bucket([-INF, 1]),
    ):
        assert Expr.from_json(expr.to_json()).same(expr)


@pytest.mark.parametrize(
    "text",
    [
        *("(select 1)", "x; drop table t", "f(x)", "t.x > 1", "x in (select 1)", "x +", "", "*"),
        *("pow(x)", "sin(x, y)", "hash()", "sin(distinct x)", "explode(w)"),
        *("substr(s, i, 1)", "substr(s, 0, 1)", "substr(s, 1)", "left(s, -1)", "left(s, true)"),
        *("x over (partition by y)", "cast(x as array<int>)", "input_file_name()", "x -> 'a'"),
    ],
)
def test_text_outside_the_language_is_refused(text: str) -> None:
    with pytest.raises(ExpressionError):
        parse(text)


@pytest.mark.parametrize(
    ("text", "says", "instead", "expected"),
    [
        ("i % 3 = 0", "pmod", "pmod(i, 3) = 0", [0, 0, None, 0, 0, 1, 1, 0, 1]),
        ("i div 4 = 1", "floor", "floor(i / 4) = 1", [0, 0, None, 1, 1, 1, 0, 0, 0]),
        ("s like '1%'", "rlike", "s rlike r'^1'", [0, 0, None, 0, 1, 0, 0, 0, 0]),
        ("if(i > 4, true, false)", "case when", None, []),
        ("s || 'x' = 'ax'", "concat", "concat(s, 'x') = 'ax'", [1, 0, None, 0, 0, 0, 0, 0, 0]),
        ("d < current_date()", r"\$\{date\}", None, []),
    ],
)
def test_what_people_write_first_is_answered_by_what_there_is(
    text: str, says: str, instead: str | None, expected: list[int | None]
) -> None:
    with pytest.raises(ExpressionError, match=f"language; write .*{says}"):
        parse(text)
    if instead is not None:
        found = evaluate(parse(instead), TABLE).to_pylist()
        assert found == [None if one is None else bool(one) for one in expected]


@pytest.mark.parametrize(
    "pattern", ["(?i)a", r"\bx", "a++", "(?=x)", r"\1", "a{,2}", r"\p{Greek}", "[", "x{1001}"]
)
def test_patterns_that_the_engines_read_apart_are_refused(pattern: str) -> None:
    with pytest.raises(ExpressionError, match="pattern"):
        col("s").matches(pattern)


def test_an_unknown_column_or_node_is_named() -> None:
    with pytest.raises(ExpressionError, match="'nope'"):
        evaluate(col("nope") > 1, TABLE)
    with pytest.raises(ExpressionError, match="'python'"):
        Expr.from_json({"node": "python", "code": "1"})
    with pytest.raises(TypeError, match="&"):
        bool(col("x") > 1)


def test_constants_reach_spark_as_they_are(spark: SparkSession) -> None:
    moment = datetime.datetime(2017, 1, 2, 3, 4, 5, 678901, tzinfo=datetime.UTC)
    values = [
        *(None, True, 5, -7, 2**40, -(2**63), 0.1, -0.0, 1e-310, 1.7976931348623157e308, 5e-324),
        *(
            INF,
            -INF,
            "",
            "it's",
            'a "b"',
            "back\\slash\\n",
            "line\nbreak",
            "${env:HOME}",
            "ä %s :x ?",
        ),
        *(datetime.date(1969, 12, 31), moment),
    ]
    row = spark.range(1).select(*(to_column(lit(value)) for value in values)).first()
    assert row is not None
    found = [
        value.astimezone(datetime.UTC) if isinstance(value, datetime.datetime) else value
        for value in row
    ]
    assert [str(value) for value in found] == [str(value) for value in values]
    assert math.isnan(spark.range(1).select(to_column(lit(NAN))).first()[0])  # type: ignore[index]


def test_odd_column_names(spark: SparkSession) -> None:
    names = ["a b", "back`tick", "do.t", "it's", "x) or (1"]
    frame = spark.range(1).toDF("n").selectExpr(*(f"n + {i} as c{i}" for i in range(len(names))))
    frame = frame.toDF(*names)
    assert list(frame.select(*(to_column(col(name) + 1) for name in names)).first() or ()) == [
        float(i + 1) for i in range(len(names))
    ]
