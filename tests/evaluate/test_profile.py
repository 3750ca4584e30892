"""A profile against pandas and NumPy, the drift against numbers by hand, the page as HTML."""

from __future__ import annotations

import datetime
import json
import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

import sparkmine as sm
from sparkmine.cli import main
from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.profile import Finding, Profile, TopValue, profile
from sparkmine.evaluate.profile.drift import psi
from sparkmine.evaluate.profile.page import to_html

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Table

ReadPage = Callable[[str], Any]
HOSTILE = '<script>alert("x")</script>'
ROWS = 3000
NOW = datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC)
SCHEMA = pa.schema(
    {
        "id": pa.int64(),
        "amount": pa.float64(),
        "visits": pa.int32(),
        "share": pa.float32(),
        "region": pa.string(),
        "code": pa.string(),
        "day": pa.date32(),
        "at": pa.timestamp("us", tz="UTC"),
        "member": pa.bool_(),
        "fixed": pa.string(),
        "price": pa.decimal128(10, 2),
        "tags": pa.list_(pa.string()),
        "note": pa.string(),
    }
)


def frame() -> pd.DataFrame:
    """Every kind of column, and every kind of dirt in known numbers of rows."""
    random = np.random.default_rng(5)
    amount = random.gamma(2.0, 20.0, ROWS).round(2)
    visits = random.poisson(3, ROWS).astype(int)
    table = pd.DataFrame({"id": np.arange(ROWS) + 31_000_000_000, "amount": amount})
    table["visits"] = np.where(np.arange(ROWS) < 40, -999, visits)
    table["share"] = (visits / 10 + random.normal(0, 0.05, ROWS)).astype(np.float32)
    table["region"] = random.choice(["North", "South", "East"], ROWS)
    table["code"] = [str(1000 + i % 50) for i in range(ROWS)]
    start = datetime.date(2024, 1, 1)
    table["day"] = [start + datetime.timedelta(days=i % 300) for i in range(ROWS)]
    moment = datetime.datetime(2024, 1, 1, 8)
    table["at"] = [moment + datetime.timedelta(minutes=7 * i) for i in range(ROWS)]
    table["member"] = random.random(ROWS) < 0.3
    table["fixed"] = "same"
    table["price"] = [None] * ROWS
    table["tags"] = [["a"]] * ROWS
    table["note"] = ["x" * (1 + i % 17) for i in range(ROWS)]
    table = table.astype(object)
    table.loc[0:59, "amount"] = None
    table.loc[60:69, "amount"] = math.nan
    table.loc[70:74, "amount"] = math.inf
    table.loc[0:9, "region"] = "north"
    table.loc[10:15, "region"] = " South"
    table.loc[16:19, "region"] = ""
    table.loc[20:26, "region"] = "N/A"
    table.loc[27:30, "region"] = None
    table.loc[0:2, "day"] = datetime.date(1900, 1, 1)
    table.loc[3:4, "day"] = datetime.date(2031, 5, 1)
    return table


def arrow(table: pd.DataFrame) -> pa.Table:
    """Nulls stay null and NaN stays NaN, which pandas' own way to Spark would not keep."""
    columns = [
        pa.array(table[field.name].tolist(), field.type, from_pandas=False) for field in SCHEMA
    ]
    return pa.table(columns, schema=SCHEMA)


@pytest.fixture(scope="module")
def written(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Table:
    """Version 0 is the first two thirds; version 1 is all rows, without `old`."""
    lake = sm.Lake(tmp_path_factory.mktemp("profile"), spark)
    table = lake.table("raw/visits")
    df = spark.createDataFrame(arrow(frame())).coalesce(1)
    table.write(df.where("id % 3 < 2").withColumn("old", df["id"]))
    table.write(df)
    return table


@pytest.fixture(scope="module")
def found(written: Table) -> Profile:
    return sm.profile(
        written.snapshot(), against=written.snapshot(0), now=NOW, spark=written.lake.spark
    )


def by_code(profile: Profile) -> dict[tuple[str | None, str], Finding]:
    return {(one.column, one.code): one for one in profile.findings}


def test_counts_are_those_of_pandas(found: Profile) -> None:
    table = frame()
    assert (found.rows, found.version, found.name) == (ROWS, 1, "visits")
    assert found.bytes is not None and found.bytes > 1000
    for column in found.columns:
        values = table[column.name].dropna()
        assert column.missing == ROWS - len(values), column.name
        if column.kind != "other":
            assert column.distinct == values.nunique(), column.name
    region = table["region"].value_counts()
    top = {one.value: one.rows for one in found.column("region").top}
    assert top == region.to_dict()
    assert found.column("region").top[0].share == region.iloc[0] / ROWS
    assert found.column("tags").kind == "other" and found.column("tags").distinct is None
    assert (found.column("amount").nans, found.column("amount").infinities) == (10, 5)


def test_distributions_are_those_of_numpy(found: Profile) -> None:
    amount = frame()["amount"].astype(float)
    amount = amount[np.isfinite(amount)].to_numpy()
    values = found.column("amount").values
    assert values is not None and values.histogram is not None
    assert math.isclose(values.mean, amount.mean(), rel_tol=1e-12)
    assert math.isclose(values.deviation, amount.std(), rel_tol=1e-9)
    assert (values.minimum, values.maximum) == (amount.min(), amount.max())
    for share, quantile in values.quantiles.items():
        below = np.quantile(amount, [float(share) - 0.005, float(share) + 0.005])
        assert below[0] <= quantile <= below[1]
    series = pd.Series(amount)
    assert values.skewness is not None and values.kurtosis is not None
    assert math.isclose(values.skewness, series.skew(), rel_tol=0.01)
    assert math.isclose(values.kurtosis, series.kurt(), rel_tol=0.02)
    low, high = np.quantile(amount, [0.25, 0.75])
    assert abs(values.above - (amount > high + 3 * (high - low)).sum()) <= 2
    counts, _ = np.histogram(amount, values.histogram.edges)
    assert values.left + values.right + sum(values.histogram.counts) == len(amount)
    assert np.abs(counts - values.histogram.counts).sum() <= 0.01 * len(amount)
    visits = found.column("visits").values
    numbers = frame()["visits"].astype(int)
    assert visits is not None
    assert (visits.zeros, visits.negatives) == ((numbers == 0).sum(), 40)


def test_times_and_lengths(found: Profile) -> None:
    at, table = found.column("at").values, frame()
    assert at is not None
    expected = pd.to_datetime(table["at"]).astype("int64") / 1e9
    # To whole seconds; times are written in UTC.
    for mine, theirs in ((at.minimum, expected.min()), (at.maximum, expected.max())):
        assert mine == theirs
    assert abs(at.quantiles["0.5"] - expected.median()) < 0.005 * (expected.max() - expected.min())
    day = found.column("day")
    assert day.values is not None and day.values.quantiles["0.5"] % 86_400 == 0
    assert day.top[0].value == "2024-01-06" or day.top[0].rows == 10
    lengths = found.column("note").lengths
    texts = table["note"].str.len()
    assert lengths is not None and (lengths.minimum, lengths.maximum) == (1, 17)
    assert math.isclose(lengths.mean, texts.mean()) and lengths.quantiles["0.5"] == texts.median()


def test_correlations_are_those_of_pandas(found: Profile) -> None:
    assert found.correlations is not None
    table = frame()[list(found.correlations.columns)].astype(float)
    expected = table.replace([np.inf, -np.inf], np.nan).corr(min_periods=2).to_numpy()
    matrix = np.array(found.correlations.matrix, float)
    np.testing.assert_allclose(matrix, expected, atol=1e-9)
    (strongest,) = found.correlations.strongest(1)
    off = np.abs(expected - np.eye(len(expected)))
    assert math.isclose(abs(strongest[2]), np.nanmax(off), rel_tol=1e-9)


def test_findings_have_their_rows_and_an_example(found: Profile) -> None:
    expected = {
        ("amount", "infinite"): (5, None),
        ("visits", "sentinel"): (40, "-999"),
        ("region", "blank"): (4, "''"),
        ("region", "padded"): (6, "' South'"),
        ("region", "placeholder"): (7, "'N/A'"),
        ("code", "numbers as text"): (ROWS, "1000"),
        ("day", "sentinel"): (3, "1900-01-01"),
        ("day", "future"): (2, "2031-05-01"),
        ("fixed", "constant"): (ROWS, "same"),
        ("price", "empty"): (ROWS, None),
    }
    findings = by_code(found)
    for key, (rows, example) in expected.items():
        assert (findings[key].rows, findings[key].example) == (rows, example), key
    spelling = findings["region", "spelling"]
    assert spelling.rows == 16 and spelling.text.startswith("2 of the")
    warned = {key for key, one in findings.items() if one.severity == "warning"}
    assert warned == {*expected, ("region", "spelling")}
    severities = [one.severity for one in found.findings]
    assert severities == sorted(severities, reverse=True)
    assert found.keys == ["id", "at"]


def test_drift_is_sorted_and_by_hand(found: Profile) -> None:
    drift = found.drift
    assert drift is not None and (drift.version, drift.rows) == (0, 2000)
    assert (drift.added, drift.removed) == ((), ("old",))
    moved = [one.psi for one in drift.changes if one.psi is not None]
    assert moved == sorted(moved, reverse=True)
    table = frame()
    before = table[[i % 3 < 2 for i in table["id"]]]
    member = next(one for one in drift.changes if one.column == "member")
    old, new = (part["member"].astype(float).mean() for part in (before, table))
    by_hand = (new - old) * math.log(new / old) + (old - new) * math.log((1 - new) / (1 - old))
    assert member.psi is not None and math.isclose(member.psi, by_hand, rel_tol=1e-9)
    amount = next(one for one in drift.changes if one.column == "amount")
    gaps = table["amount"].isna().mean() - before["amount"].isna().mean()
    assert math.isclose(amount.missing_share or 0.0, gaps)
    assert amount.distinct == table["amount"].nunique() - before["amount"].nunique()
    assert len(amount.buckets) == 11  # ten deciles, and the missing
    assert all(abs(bucket[1] - 0.1) < 0.02 for bucket in amount.buckets[:10])


def test_psi_by_hand() -> None:
    # (0.5-0.25) ln 2 + (0.5-0.75) ln(2/3)
    assert math.isclose(psi([0.25, 0.75], [0.5, 0.5]), 0.25 * math.log(2) - 0.25 * math.log(2 / 3))
    assert psi([0.3, 0.7], [0.3, 0.7]) == 0.0
    # An empty bucket counts as 0.0001.
    expected = (1e-4 - 0.5) * math.log(1e-4 / 0.5) + 0.5 * math.log(2.0)
    assert math.isclose(psi([0.5, 0.5], [0.0, 1.0]), expected)


def test_one_scan(written: Table) -> None:
    """`id` and `at` lie closely together, and are scanned again for their quantiles."""
    snapshot, spark = written.snapshot(), written.lake.spark
    columns = [name for name in snapshot.schema.names if name not in ("id", "at")]
    assert profile(snapshot, columns=columns, spark=spark).scans == 1
    assert profile(snapshot, columns=["id"], spark=spark).scans > 1


@pytest.mark.slow
def test_dataframes_and_snapshots_agree(written: Table, found: Profile) -> None:
    df = written.snapshot().dataframe(written.lake.spark)
    other = profile(df, now=NOW)
    assert other.version is None and other.bytes is None
    assert other.findings == found.findings
    for mine, theirs in zip(other.columns, found.columns, strict=True):
        assert (mine.top, mine.missing, mine.distinct) == (
            theirs.top,
            theirs.missing,
            theirs.distinct,
        )


def test_an_empty_table_is_defined(written: Table, read_page: ReadPage) -> None:
    empty = profile(written.snapshot().where("id < 0"), spark=written.lake.spark)
    assert (empty.rows, empty.keys, empty.findings) == (0, [], ())
    assert {column.distinct for column in empty.columns} == {0, None}
    assert "The table has no rows." in read_page(to_html(empty)).text


def test_wrong_columns(written: Table, found: Profile) -> None:
    with pytest.raises(ConfigError, match="no column 'amuont'"):
        profile(written.snapshot(), columns=["amuont"], spark=written.lake.spark)
    with pytest.raises(ConfigError, match="no column to profile"):
        profile(written.snapshot(), columns=[], spark=written.lake.spark)
    with pytest.raises(ConfigError, match="no column 'x'"):
        found.column("x")


def test_page_is_whole_and_loads_nothing(
    found: Profile, tmp_path: Path, read_page: ReadPage
) -> None:
    file = found.to_html(tmp_path / "pages" / "profile.html")
    text = file.read_text(encoding="utf-8")
    page = read_page(text)
    assert len(page.ids) == len(set(page.ids))
    assert {"overview", "drift", "missing", "correlations", "columns"} <= set(page.ids)
    for _, name, value in page.attributes:
        if name in ("src", "href", "action", "xlink:href"):
            assert value.startswith(("#", "data:,")), value
            assert not value.startswith("#") or value[1:] in page.ids, value
    assert "@import" not in text and "script" not in page.tags
    assert page.attributes.count(("svg", "role", "img")) >= len(found.columns) - 4
    for column in found.columns:
        assert column.name in page.text


def test_names_and_values_are_no_markup(found: Profile, read_page: ReadPage) -> None:
    column = found.columns[4]
    hostile = Profile(
        name=HOSTILE,
        rows=1,
        columns=(
            type(column)(
                name=HOSTILE,
                type="string",
                kind="text",
                missing=0,
                missing_share=0.0,
                distinct=1,
                top=(TopValue(value=HOSTILE, rows=1, share=1.0),),
            ),
        ),
        findings=(
            Finding(column=HOSTILE, code="x", severity="note", text=HOSTILE, example=HOSTILE),
        ),
    )
    page = read_page(to_html(hostile))
    assert "script" not in page.tags and HOSTILE in page.text


@pytest.mark.slow
def test_long_names_and_values_never_scroll_sideways(
    found: Profile, widths_of: Callable[[str], list[tuple[int, int]]]
) -> None:
    long, value = "a_rather_long_name_of_a_column_that_somebody_gave", "x" * 70
    columns = tuple(
        replace(
            column,
            name=f"{column.name}_{long}",
            type="struct<a:int," * 5,
            top=tuple(replace(one, value=value) for one in column.top),
        )
        for column in found.columns
    )
    findings = tuple(replace(one, column=columns[0].name, example=value) for one in found.findings)
    page = to_html(replace(found, name=long * 2, columns=columns, findings=findings, drift=None))
    assert to_html(found) == to_html(found)
    for width, needed in widths_of(page):
        assert needed <= width


def test_json_round_trip(found: Profile) -> None:
    assert Profile.from_json(json.loads(json.dumps(found.to_json()))) == found
    with pytest.raises(DataError, match="no saved Profile"):
        Profile.from_json({"rows": "many"})


def test_command(
    written: Table,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    read_page: ReadPage,
) -> None:
    monkeypatch.chdir(tmp_path)
    here = ["--warehouse", written.lake.root]
    arguments = ["profile", "raw/visits", "--columns", "id,visits", *here]
    assert main([*arguments, "--against", "0"]) == 0
    file = Path(capsys.readouterr().out.strip())
    assert file == tmp_path / "profile-raw-visits-1.html"
    assert "Drift since version 0" in read_page(file.read_text(encoding="utf-8")).text
    for wrong, code in (
        (["profile", "raw/nothing", *here], "TABLE_MISSING"),
        (["profile", "raw/visits", "--version", "7", *here], "TABLE_VERSION_UNEXPECTED"),
        (["profile", "raw/visits", "--against", "7", *here], "TABLE_VERSION_UNEXPECTED"),
        (["profile", "Raw Visits", *here], "CONFIG_INVALID"),
        (["profile", "raw/visits", "--warehouse", "nowhere"], "CONFIG_INVALID"),
    ):
        assert main(wrong) == 1
        assert capsys.readouterr().err.startswith(code), wrong
