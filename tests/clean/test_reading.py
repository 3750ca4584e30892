"""What files can hold, each case with its rows worked out by hand."""

from __future__ import annotations

import bz2
import datetime
import decimal
import gzip
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from sparkmine.clean.reading import good_rows, read_source, source_column
from sparkmine.clean.rules import REASONS
from sparkmine.clean.text_sources import CORRUPT
from sparkmine.clean.values import ColumnFormat, Columns, check_formats, declared_schema, typed
from sparkmine.errors import ConfigError, DataError, SourceColumnsError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

TWO: Columns = {"id": "int", "name": "string"}


def found(
    spark: SparkSession, path: Path | str, columns: Columns, kind: str = "csv", **more: Any
) -> tuple[list[tuple[Any, ...]], list[list[tuple[str, str]]]]:
    """The good rows, and the reasons of the bad ones, both sorted; one Spark job."""
    options = more.pop("options", {})
    read = read_source(spark, str(path), kind, columns, options, **more)
    rows, name = read.rows.cache(), read.reasons
    good = sorted(tuple(row) for row in good_rows(read, columns).collect())
    bad = [[(r.rule, r.column) for r in row[name]] for row in rows.collect() if row[name]]
    rows.unpersist()
    return good, sorted(bad)


UMLAUT = [(1, "Käse"), (2, "b")]
BYTES = {
    "utf-8": ("id,name\n1,Käse\n2,b\n".encode(), {}),
    "BOM": ("id,name\n1,Käse\n2,b\n".encode("utf-8-sig"), {}),
    "utf-16": ("id,name\n1,Käse\n2,b\n".encode("utf-16"), {"encoding": "UTF-16"}),
    "utf-16le": ("id,name\r\n1,Käse\r\n2,b\r\n".encode("utf-16-le"), {"encoding": "UTF-16LE"}),
    "utf-32": ("id,name\n1,Käse\n2,b\n".encode("utf-32"), {"encoding": "UTF-32"}),
    "windows": ("id,name\n1,Käse\n2,b\n".encode("cp1252"), {"encoding": "windows-1252"}),
    "alias": ("id,name\n1,Käse\n2,b\n".encode("utf-16"), {"encoding": "UTF_16"}),
    "charset": ("id,name\n1,Käse\n2,b\n".encode("utf-16-be"), {"CharSet": "utf_16be"}),
    "latin-1": ("id,name\n1,Käse\n2,b\n".encode("latin-1"), {"encoding": "ISO-8859-1"}),
    "delimiter": ("name;id\n'Käse';1\nb;2\n".encode(), {"sep": ";", "quote": "'"}),
}


@pytest.mark.parametrize("case", BYTES)
def test_encodings_and_signs(spark: SparkSession, tmp_path: Path, case: str) -> None:
    raw, options = BYTES[case]
    file = tmp_path / "rows.csv"
    file.write_bytes(raw)
    assert found(spark, file, TWO, options=options) == (UMLAUT, [])


def test_quotes_and_lines(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text('id,name\n1,"a, ""b""\nc"\n2,"C:\\"\n3,"x"\n')
    rows = [(1, 'a, "b"\nc'), (2, "C:\\"), (3, "x")]
    assert found(spark, file, TWO) == (rows, [])
    # Inches open no value; a quote that nothing closes would take in all rows behind it.
    file.write_text('id,name\n1,5"\n2,b\n')
    assert found(spark, file, TWO) == ([(1, '5"'), (2, "b")], [])
    file.write_text('id,name\n1,"a\nb"\n2,5"\n')
    assert found(spark, file, TWO) == ([(1, "a\nb"), (2, '5"')], [])
    for text in ('id,name\n1,"5\n2,b\n', 'id,name\n1,5"\n2,"b\n3,c\n'):
        file.write_text(text)
        with pytest.raises(DataError, match=r"rows\.csv: a quoted value is not closed"):
            read_source(spark, str(file), "csv", TWO, {})
    file.write_text("id,name\n1,'a\\'\nb'\n2,b\n")
    options = {"quote": "'", "escape": "\\"}
    assert found(spark, file, TWO, options=options) == ([(1, "a'\nb"), (2, "b")], [])


def test_bytes_that_are_no_text(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_bytes(b"id,name\n1,K\xe4se\n2,b\n")
    assert found(spark, file, TWO) == ([(2, "b")], [[("invalid bytes", "name")]])
    file = tmp_path / "rows.json"
    file.write_bytes(b'{"id": 1, "name": "K\xe4se"}\n{"id": 2, "name": "b"}\n')
    good, bad = found(spark, file, TWO, "json")
    assert good == [(2, "b")] and len(bad) == 1


def zstd(raw: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as out:
        out.write(raw)
    return bytes(sink.getvalue())


def test_several_files(spark: SparkSession, tmp_path: Path) -> None:
    text = b"id,name\n%d,x\n"
    (tmp_path / "a.csv").write_bytes(text % 1)
    (tmp_path / "b.csv.gz").write_bytes(gzip.compress(text % 2))
    (tmp_path / "c.csv.bz2").write_bytes(bz2.compress(text % 3))
    (tmp_path / "f.csv.zst").write_bytes(zstd(text % 4))
    (tmp_path / "d.csv").write_bytes(b"")
    (tmp_path / "e.txt").write_bytes(b"other,header\n")
    good, bad = found(spark, tmp_path / "*.csv*", TWO)
    assert (good, bad) == ([(1, "x"), (2, "x"), (3, "x"), (4, "x")], [])
    (tmp_path / "f.csv.gz").write_bytes(gzip.compress(b"name,id\nx,4\n"))
    with pytest.raises(SourceColumnsError, match=r"a\.csv and .*f\.csv\.gz .*names or order"):
        read_source(spark, str(tmp_path / "*.csv*"), "csv", TWO, {})
    (tmp_path / "e.txt").write_bytes(b"id,name,name\n1,a,b\n")
    with pytest.raises(SourceColumnsError, match="'name' more than once"):
        read_source(spark, str(tmp_path / "e.txt"), "csv", TWO, {})


def test_without_header(spark: SparkSession, tmp_path: Path) -> None:
    """Columns go by their place; a first record of other width is refused."""
    file = tmp_path / "rows.csv"
    file.write_bytes(b"1,a\nx,b\n3\n4,d\n")
    good, bad = found(spark, file, TWO, has_header=False)
    assert good == [(1, "a"), (4, "d")]
    assert bad == [[("type int", "id")], [("unreadable row", "")]]
    with pytest.raises(SourceColumnsError, match=r"rows\.csv: its first record has 2 .* are 3"):
        found(spark, file, {**TWO, "more": "int"}, has_header=False)


def test_long_values_without_header(spark: SparkSession, tmp_path: Path) -> None:
    """The first record has a value beyond the 128 KiB that Python's reader takes unasked."""
    file, long = tmp_path / "rows.csv", "x" * (200 << 10)
    file.write_text(f"1,{long}\n2,b\n")
    assert found(spark, file, TWO, has_header=False) == ([(1, long), (2, "b")], [])
    with pytest.raises(SourceColumnsError, match=r"its first record has 2 .* are 3"):
        found(spark, file, {**TWO, "more": "int"}, has_header=False)


@pytest.mark.slow
def test_a_first_value_beyond_the_beginning(spark: SparkSession, tmp_path: Path) -> None:
    file, long = tmp_path / "rows.csv", "xy" * (10 << 20)
    file.write_text(f"1,{long}\n2,b\n3\n")
    good, bad = found(spark, file, TWO, has_header=False)
    assert good == [(1, long), (2, "b")] and bad == [[("unreadable row", "")]]
    file.write_text(f"id,{long}\n2,b\n")
    with pytest.raises(ConfigError, match="its first record is longer than 16 MiB, no header"):
        read_source(spark, str(file), "csv", TWO, {})


def test_blank_lines(spark: SparkSession, tmp_path: Path) -> None:
    """They are rows of a file with one column, and counted in others."""
    (tmp_path / "shop=07").mkdir()
    file = tmp_path / "shop=07" / "rows.csv"
    file.write_bytes(b"name\r\na\r\n\r\n  \r\nb\r\n\r\n")
    columns: Columns = {"name": "string", "shop": "string"}
    skipped: dict[str, int] = {}
    read = read_source(spark, str(tmp_path), "csv", columns, {}, skipped=skipped).rows.collect()
    values = [("  ", "07"), ("a", "07"), ("b", "07"), (None, "07"), (None, "07")]
    assert sorted(((r.name, r.shop) for r in read), key=lambda r: (not r[0], r)) == values
    assert {r["_source"].rsplit("/", 2)[1] for r in read} == {"shop=07"} and not skipped
    # Values of several lines may have blank ones.
    file.write_bytes(b'name\n"a\n""b"\n\n"c\n\nd"\n\n')
    read = read_source(spark, str(tmp_path), "csv", columns, {}, skipped=skipped).rows.collect()
    assert sorted(r.name or "" for r in read) == ["", "", 'a\n"b', "c\n\nd"]
    # Three lines are no rows; the one before the header is no header.
    file = tmp_path / "rows.csv"
    file.write_bytes(b"\nid,name\n1,a\n\n \t\n,\n2,b\n")
    read = read_source(spark, str(file), "csv", TWO, {}, skipped=skipped).rows.collect()
    assert sorted((r.id or "", r.name) for r in read) == [("", None), ("1", "a"), ("2", "b")]
    assert skipped == {"blank lines": 3}
    # Of tabs, a line of as many as there are is a row; one of more is none that can be read.
    file.write_bytes(b"1\ta\n\t\n\n\t\t\n2\tb\n")
    options = {"sep": "\t"}
    skipped.clear()
    read = read_source(spark, str(file), "csv", TWO, options, has_header=False, skipped=skipped)
    rows = [(r.id, r.name, r[CORRUPT], [x.rule for x in r[REASONS]]) for r in read.rows.collect()]
    assert sorted(rows, key=str) == [
        ("1", "a", None, []),
        ("2", "b", None, []),
        (None, None, "\t\t", ["unreadable row"]),
        (None, None, None, []),
    ]
    assert skipped == {"blank lines": 1}


def test_the_file_of_a_row_as_a_column(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,name\n1,a\n")
    (tmp_path / "b.csv").write_text("id,name\n2,b\n")
    read = good_rows(read_source(spark, str(tmp_path), "csv", TWO, {}), TWO, "file")
    assert read.columns == ["id", "name", "file"] and source_column(read.schema) == "file"
    found = {row.id: row.file.rsplit("/", 1)[1] for row in read.collect()}
    assert found == {1: "a.csv", 2: "b.csv"}
    assert source_column(read.drop("file").schema) is None


def test_zstandard(spark: SparkSession, tmp_path: Path) -> None:
    """Values of several lines are read from the whole file, lines from a part of it."""
    file = tmp_path / "rows.csv.zst"
    file.write_bytes(zstd(b'id,name\n1,"a\nb"\n2,b\n'))
    assert found(spark, file, TWO) == ([(1, "a\nb"), (2, "b")], [])
    file = tmp_path / "rows.json.zst"
    file.write_bytes(zstd(b'{"id": 1, "name": "a"}\n{"id": 2}\n'))
    assert found(spark, file, TWO, "json") == ([(1, "a"), (2, None)], [])


DATED: Columns = {"day": "date", "id": "int", "shop": "string"}


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_names_of_folders_are_columns(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    text = {"csv": "id\n%s\n", "json": '{"id": "%s"}\n'}[kind]
    folders = ["day=2024-01-01/shop=07", "day=2024-01-02/shop=a%20b", "day=soon/shop=x"]
    missing = "day=__HIVE_DEFAULT_PARTITION__/shop=x"
    for place, folder in enumerate([*folders, missing]):
        (tmp_path / folder).mkdir(parents=True)
        (tmp_path / folder / f"part.{kind}").write_text(text % place)
    first, second = datetime.date(2024, 1, 1), datetime.date(2024, 1, 2)
    good = [(first, 0, "07"), (second, 1, "a b")]
    read = read_source(spark, str(tmp_path), kind, DATED, {})
    read.rows.cache()
    rows = good_rows(read, DATED).collect()
    assert {(row.day, row.id, row.shop) for row in rows} == {*good, (None, 3, "x")}
    (bad,) = (row for row in read.rows.collect() if row[REASONS])
    assert (bad.id, bad.day, [r.column for r in bad[REASONS]]) == ("2", "soon", ["day"])
    read.rows.unpersist()
    with pytest.raises(SourceColumnsError, match=r"not declared \['day', 'shop'\]"):
        read_source(spark, str(tmp_path), kind, {"id": "int"}, {})
    with pytest.raises(SourceColumnsError, match=r"day=\*: its folders .*basePath"):
        read_source(spark, str(tmp_path / "day=*"), kind, DATED, {})
    glob = tmp_path / "day=2*" / "*" / "*"
    assert found(spark, glob, DATED, kind, options={"basePath": str(tmp_path)}) == (good, [])


def test_a_column_of_files_and_of_folders(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "name=x").mkdir()
    (tmp_path / "name=x" / "a.csv").write_text("id,name\n1,x\n")
    with pytest.raises(SourceColumnsError, match="'name' is in the files and in the names of"):
        read_source(spark, str(tmp_path), "csv", TWO, {})


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_columns_called_as_ours(spark: SparkSession, tmp_path: Path, kind: str) -> None:
    """Elasticsearch exports have `_source`; names of ours give way, whatever their case."""
    text = {
        "csv": "id,_Source,_reasons\n1,north,because\nx,south,so\n",
        "json": '{"id": "1", "_Source": "north", "_reasons": "because"}\n'
        '{"id": "x", "_Source": "south", "_reasons": "so"}\n{"id": \n',
    }[kind]
    file = tmp_path / f"rows.{kind}"
    file.write_text(text)
    columns: Columns = {"id": "int", "_Source": "string", "_reasons": "string"}
    good, bad = found(spark, file, columns, kind)
    assert good == [(1, "north", "because")] and bad[0] == [("type int", "id")]
    read = read_source(spark, str(file), kind, columns, {})
    assert {read.reasons.lower(), read.source.lower()}.isdisjoint(["id", "_source", "_reasons"])
    assert good_rows(read, columns, "file").columns == [*columns, "file"]
    with pytest.raises(SourceColumnsError, match="has a column '_REASONS'; name another"):
        good_rows(read, columns, "_REASONS")
    file.write_text(text.replace("_reasons", "_corrupt"))
    with pytest.raises(SourceColumnsError, match="has a column '_corrupt', where the quarantine"):
        read_source(spark, str(file), kind, columns, {}, allow_new_columns=True)


def test_new_columns(spark: SparkSession, tmp_path: Path) -> None:
    rows = {"csv": "more,name,id\n07,a,1\n", "json": '{"id": 1, "name": "a", "more": "07"}\n'}
    for kind, text in rows.items():
        file = tmp_path / f"rows.{kind}"
        file.write_text(text)
        with pytest.raises(SourceColumnsError, match=r"not declared \['more'\].*allow_new"):
            read_source(spark, str(file), kind, TWO, {})
        assert found(spark, file, TWO, kind, allow_new_columns=True) == ([(1, "a", "07")], [])


FORMATTED: Columns = {
    "id": "int",
    "price": ColumnFormat(type="decimal(12,2)", decimal=",", thousands="."),
    "weight": ColumnFormat(type="double", decimal=","),
    "day": ColumnFormat(type="date", formats=("dd.MM.yyyy", "yyyy-MM-dd")),
    "at": ColumnFormat(
        type="timestamp", formats=("d.M.yyyy H:mm", "yyyy-MM-dd'T'HH:mmXXX"), zone="Europe/Berlin"
    ),
    "paid": ColumnFormat(type="boolean", true_words=("ja", "X"), false_words=("nein",)),
}
LINES = """id;price;weight;day;at;paid
1;1.234.567,89;0,5;31.01.2026;1.7.2026 12:00;Ja
2;12,5;;2026-01-31;2026-07-01T12:00+00:00;nein
3;1.5;1.5;30.02.2026;1.7.2026 25:00;vielleicht
4;12.34,5;1e3;;;x
5;1,239;,5;;;
"""


def test_values_as_they_are_written(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "rows.csv"
    file.write_text(LINES)
    read = read_source(spark, str(file), "csv", FORMATTED, {"sep": ";"})
    good = {row.id: row for row in good_rows(read, FORMATTED).collect()}
    day = datetime.date(2026, 1, 31)
    noon = datetime.datetime(2026, 7, 1, 12, tzinfo=datetime.UTC)
    assert sorted(good) == [1, 2]
    assert (str(good[1].price), good[1].weight, good[1].day, good[1].paid) == (
        *("1234567.89", 0.5, day),
        True,
    )
    assert good[1].at.astimezone(datetime.UTC) == noon - datetime.timedelta(hours=2)
    assert (str(good[2].price), good[2].weight, good[2].day, good[2].paid) == (
        *("12.50", None, day),
        False,
    )
    assert good[2].at.astimezone(datetime.UTC) == noon
    rows = read.rows.collect()
    bad = {row.id: {r.column for r in row[REASONS]} for row in rows if row[REASONS]}
    assert bad == {
        "3": {"price", "weight", "day", "at", "paid"},
        "4": {"price"},  # its groups have not three digits
        "5": {"price"},  # a digit too many
    }


DECIMALS = [
    *("1.5", "1.50", " 1.500 ", "1.05", "7", "7.", ".5", "-0.05", "+12", "99.95", "99.94", "100"),
    *("12.30e1", "1.5e-2", "1500e-2", "1.23E1", "1.234e1", "0.000e-9", "0e9", "5e-1", "150e-2"),
    *("0.12345678901234567890", "0.123456789012345678901", "1e-40", "10e-21", "1.0e-20"),
    *("1234567890123456789012345.67", "1234567890123456789012345.678", "1e27", "1e28", "x", "1_0"),
]


@pytest.mark.parametrize(("precision", "scale"), [(3, 1), (38, 20), (30, 2), (5, 0), (38, 38)])
def test_decimals_that_fit(spark: SparkSession, precision: int, scale: int) -> None:
    """A text fits if Python's decimals can write it with so many digits."""
    from pyspark.sql.types import DataType

    wanted = {}
    for text in DECIMALS:
        with decimal.localcontext(prec=80, traps=[]):
            value = decimal.Decimal(text.replace("_", "x"))
            places = value.quantize(decimal.Decimal(1).scaleb(-scale))
            fits = value == places and abs(value) < 10 ** (precision - scale)
        wanted[text] = places if fits else None
    df = spark.createDataFrame([(text,) for text in DECIMALS], "t string").coalesce(1)
    declared = ColumnFormat(type=f"decimal({precision},{scale})")
    value = typed(df.t, DataType.fromDDL(declared.type), declared)
    assert dict(df.select("t", value).collect()) == wanted


@pytest.mark.parametrize(
    ("declared", "message"),
    [
        ({"type": "double", "formats": ("yyyy",)}, "'x' is double, for which a format means"),
        ({"type": "date", "decimal": ","}, "for which decimal"),
        ({"type": "int", "true_words": ("a",), "false_words": ("b",)}, "for which true_words"),
        ({"type": "boolean", "true_words": ("a",)}, "wants both"),
        ({"type": "timestamp", "zone": "UTC"}, "wants a format"),
        ({"type": "timestamp", "zone": "Mars", "formats": ("yyyy",)}, "no time zone 'Mars'"),
        ({"type": "double", "decimal": ",", "thousands": ","}, "two different"),
        ({"type": "date", "formats": ("bcd",)}, "'bcd' is no date pattern"),
        ({"type": "inty"}, "'inty' is no Spark SQL type"),
    ],
)
def test_declarations_that_cannot_be(
    spark: SparkSession, declared: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        columns = {"x": ColumnFormat(**declared)}
        declared_schema(columns)
        check_formats(spark, columns)


def test_json_lines_in_another_encoding(spark: SparkSession, tmp_path: Path) -> None:
    file = tmp_path / "rows.json"
    file.write_bytes('{"id": 1, "name": "Käse"}\n{"id": 2, "name": "b"}\n'.encode("utf-16-le"))
    assert found(spark, file, TWO, "json", options={"encoding": "UTF-16LE"}) == (UMLAUT, [])
    file.write_bytes('{"id": 1, "name": "Käse"}\n{"id": 2, "name": "b"}\n'.encode("utf-32-be"))
    assert found(spark, file, TWO, "json", options={"encoding": "UTF-32BE"}) == (UMLAUT, [])
    for encoding, message in {
        "UTF-32": "write UTF-32LE .* or UTF-32BE",
        "nosuch": "there is no encoding 'nosuch'",
        "no such": "there is no encoding 'no such'",
    }.items():
        with pytest.raises(ConfigError, match=message):
            read_source(spark, str(file), "json", TWO, {"encoding": encoding})
    file.write_bytes(json.dumps({"id": 1.5, "name": "a"}).encode("utf-8-sig"))
    assert found(spark, file, TWO, "json") == ([], [[("type int", "id")]])
