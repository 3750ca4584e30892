"""A contract with every kind of row rule against a table worked out by hand."""

from __future__ import annotations

import datetime
import math
from typing import TYPE_CHECKING

import pytest

from sparkmine.clean import (
    ColumnRule,
    Condition,
    Contract,
    Key,
    Reference,
    Unique,
    Validation,
)
from sparkmine.clean.drift import earlier_bins, psi
from sparkmine.clean.rules import REASONS
from sparkmine.clean.table_rules import Measured, findings, refuse
from sparkmine.clean.validation import of_snapshot
from sparkmine.errors import ConfigError, ContractError, SourceColumnsError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Lake

NAN = math.nan

# id, age, mail, country, order, line, shop, price
COLUMNS = (
    "id int, age string, mail string, country string, `order no` int, line int, shop string, "
    "price double"
)
ROWS = [
    (1, "30", "a@b.de", "DE", 1, 1, "north", 5.0),
    (2, "abc", "none", "XX", 1, 2, "north", 5.0),  # age, mail and country are wrong
    (3, "31", "a@b.de", None, 2, 1, "east", 5.0),  # its order occurs twice
    (4, "32", None, "FR", 2, 1, "east", 5.0),
    (5, "33", "x@y.fr", "FR", None, 1, "test", 5.0),  # dropped: the shop of tests
    (6, "34", "toolong@y.fr", "FR", None, 1, "north", 5000.0),  # the price is a warning
    (7, "200", "a@b.de", "DE", 4, 1, "test", 5.0),  # dropped and quarantined: the stronger decides
    (7, None, "a@b.de\n", "DE", 4, 2, "south", -1.0),  # the price may not be
    (8, "36", "é@b.de", "DE", 9, 9, "north", 5.0),  # the order is not known
]
BROKEN = {
    (1, 1): [],
    (1, 2): [("type long", "age"), ("is a mail", "mail"), ("country in countries", "country")],
    (2, 1): [("one line", "")],
    (None, "test"): [("no test", "")],
    (None, "north"): [("is a mail", "mail"), ("usual", "")],
    (4, 1): [("maximum 150", "age"), ("no test", ""), ("unique id", "id")],
    (4, 2): [("is a mail", "mail"), ("minimum 0", "price"), ("unique id", "id")],
    (9, 9): [("order is known", "")],
}
CONTRACT = Contract(
    columns={
        "id": ColumnRule(not_null=True, unique=True),
        "age": ColumnRule(type="long", minimum=0, maximum=150),
        "mail": ColumnRule(pattern=r"[^@]+@[^@\s]+", min_length=5, max_length=10, name="is a mail"),
        "country": ColumnRule(in_table=Key(table="countries", columns=("code",))),
        "price": ColumnRule(minimum=0, severity="fail"),
    },
    conditions={
        "usual": Condition(holds="price < 1000", severity="warn"),
        "no test": Condition(holds="shop <> 'test'", severity="drop"),
    },
    unique={"one line": Unique(columns=("order no", "line"))},
    references={
        "order is known": Reference(
            columns=("order no", "line"), key=Key(table="lines", columns=("o", "l"))
        )
    },
)


def test_reasons_and_fates_by_hand(spark: SparkSession) -> None:
    df = spark.createDataFrame(ROWS, COLUMNS)
    tables = {
        "countries": spark.createDataFrame([("DE",), ("FR",), ("FR",), (None,)], "code string"),
        "lines": spark.createDataFrame([(1, 1), (1, 2), (2, 1), (4, 1), (4, 2)], "o int, l int"),
    }
    checked = CONTRACT.check(df, tables)
    found = {}
    for row in checked.judged.collect():
        key = (row["order no"], row["line"] if row["order no"] else row["shop"])
        found[key] = sorted({(r["rule"], r["column"]) for r in row[REASONS]})
    assert found == {key: sorted(reasons) for key, reasons in BROKEN.items()}
    kept = checked.kept
    assert kept.columns == df.columns and dict(kept.dtypes)["age"] == "bigint"
    # Row 6 is quarantined for its mail, whatever its price; row 5 alone is dropped.
    assert [(row["id"], row["age"]) for row in kept.collect()] == [(1, 30)]
    bad = checked.quarantined
    assert sorted(row["id"] for row in bad.collect()) == [2, 3, 4, 6, 7, 7, 8]
    assert bad.columns == [*df.columns, REASONS]
    said = CONTRACT.validate(df, tables)
    assert (said.rows, said.kept, said.quarantined, said.removed) == (9, 1, 7, 1)
    labels = [f"{r} ({c})" if c else r for reasons in BROKEN.values() for r, c in reasons]
    # Two rows are the same line of the same order.
    counts = {**{label: labels.count(label) for label in labels}, "one line": 2}
    assert said.broken == counts | {"not_null (id)": 0, "minimum 0 (age)": 0} and not said.holds
    # A key of a row that is there already is taken, and that row is not looked at.
    unique = Contract(columns={"id": ColumnRule(unique=True)})
    assert unique.check(df.limit(1), beside=df.limit(1)).kept.count() == 0


def test_a_snapshot_is_validated_from_its_files(spark: SparkSession, lake: Lake) -> None:
    table = lake.table("raw/orders")
    table.write(spark.createDataFrame(ROWS, COLUMNS).drop("order no"))
    columns = {name: CONTRACT.columns[name] for name in ("age", "mail", "price")}
    contract = Contract(columns=columns, conditions=CONTRACT.conditions)
    by_hand = Validation(
        rows=9,
        kept=4,
        quarantined=4,
        removed=1,
        broken={
            "type long (age)": 1,
            "minimum 0 (age)": 0,
            "maximum 150 (age)": 1,
            "is a mail (mail)": 3,
            "minimum 0 (price)": 1,
            "usual": 1,
            "no test": 2,
        },
    )
    snapshot = table.snapshot()
    assert contract.validate(snapshot) == by_hand
    assert of_snapshot(snapshot, contract.checks(), spark) == by_hand  # so it was Arrow
    assert contract.validate(snapshot.dataframe(spark)) == by_hand
    # What Arrow takes for another text than Spark is asked by Spark; no rows break nothing.
    prices = Contract(conditions={"short": Condition(holds="length(cast(price as string)) < 6")})
    assert of_snapshot(snapshot, prices.checks(), spark) is None
    assert prices.validate(snapshot).broken == {"short": 1}
    assert contract.validate(snapshot.where("line > 9")).rows == 0


def test_contracts_that_cannot_be(spark: SparkSession) -> None:
    df = spark.range(1)
    with pytest.raises(ConfigError, match="rule 'gone' reads column 'gone'"):
        Contract(columns={"gone": ColumnRule(unique=True)}).check(df)
    with pytest.raises(ConfigError, match="severity 'shout'"):
        Contract(columns={"id": ColumnRule(severity="shout")})
    with pytest.raises(ConfigError, match="reads table 't'; pass it"):
        Contract(columns={"id": ColumnRule(in_table=Key(table="t", columns=("x",)))}).check(df)
    with pytest.raises(SourceColumnsError, match=r"does not name: \['id'\]"):
        Contract(allow_new_columns=False).check(df)


def test_table_rules_by_hand() -> None:
    contract = Contract(
        columns={
            "a": ColumnRule(max_null_fraction=0.1),
            "b": ColumnRule(max_null_fraction=0.2, severity="warn"),
            "at": ColumnRule(max_age_days=2),
            "day": ColumnRule(max_age_days=2),
        },
        min_rows=11,
        max_rows=9,
    )
    newest = datetime.datetime(2026, 1, 3, 12, tzinfo=datetime.UTC).timestamp()
    found = Measured(rows=10, missing={"a": 1, "b": 3}, newest={"at": newest, "day": None})
    broken, _ = findings(contract, found, {}, "2026-01-06")
    assert [(f.rule, f.column, f.severity) for f in broken] == [
        ("min_rows", "", "fail"),
        ("max_rows", "", "fail"),
        ("max_null_fraction", "b", "warn"),
        ("max_age_days", "at", "fail"),
        ("max_age_days", "day", "fail"),
    ]
    with pytest.raises(ContractError, match=r"stage s: .*min_rows: 10 rows, at least 11"):
        refuse(broken, "s")
    assert refuse(broken[2:3], "s") == {
        "max_null_fraction (b)": "30.00% are missing, at most 20.00% may be"
    }
    assert "2.5 days old" in broken[3].text and "no value" in broken[4].text
    assert not findings(
        Contract(columns={"at": ColumnRule(max_age_days=2.5)}), found, {}, "2026-01-06"
    )[0]


def test_psi_by_hand() -> None:
    # Shares 0.5, 0.5 against 0.25, 0.75.
    by_hand = (0.25 - 0.5) * math.log(0.5) + (0.75 - 0.5) * math.log(1.5)
    assert psi((10, 10), (1, 3)) == pytest.approx(by_hand)
    assert psi((10, 10), (5, 5)) == 0.0
    assert psi((10, 0), (10, 0)) == pytest.approx(0.0)
    assert psi((0, 0), (1, 1)) is None


def test_drift_against_an_earlier_version(spark: SparkSession, lake: Lake) -> None:
    from pyspark.sql import functions as F

    table = lake.table("clean/values")
    shops = ["a"] * 50 + ["b"] * 30 + [None] * 20
    before = [(float(i), shop, None) for i, shop in enumerate(shops)]
    schema = "x double, shop string, day date"
    table.write(spark.createDataFrame(before, schema))
    bins = earlier_bins(table.snapshot(), ["x", "shop", "day"], spark)
    # Tenths, and no missing value; then a, b, no other value, 20 missing.
    assert sum(bins["x"].counts) == 100 and bins["x"].counts[-1] == 0
    assert all(count in (9, 10, 11) for count in bins["x"].counts[:-1])
    assert bins["shop"].counts == (50, 30, 0, 20)
    assert bins["day"].counts == (0, 100)
    after = spark.createDataFrame([(NAN, "b", None), (-5.0, "c", None), (1e9, None, None)], schema)
    counted = [count for one in bins.values() for count in one.counted(F.lit(True))]
    (row,) = after.agg(*counted).collect()
    x, shop = row[: len(bins["x"].counts)], row[len(bins["x"].counts) : -2]
    assert (x[0], x[-2], x[-1], sum(x)) == (1, 1, 1, 3) and tuple(shop) == (0, 1, 1, 1)
