"""A contract in a pipeline: accounting by hand, and quarantined rows that are sent again once."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparkmine.clean import again
from sparkmine.clean.findings import reasons_in, side_of
from sparkmine.errors import ConfigError, ContractError, TooManyBadRowsError
from sparkmine.lake import Lake, Table
from sparkmine.lake.log import Commit
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.pipeline.replay import Replay

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

ORDERS = """id,customer,day,amount,shop
1,10,2026-01-01,5.0, North\u00a0
2,11,2026-01-01,7.5,ＮＯＲＴＨ
2,12,2026-01-02,7.5,east
3,99,2026-01-02,1.0,east
4,10,2026-01-03,-5.0,east
5,10,soon,1.0,east
6,11,2026-01-04,,test
7,12,2026-01-04,,ost
"""
YAML = """
pipeline: shop
warehouse: {warehouse}
stages:
  - stage: ingest
    name: ingest_customers
    source: {{format: csv, path: customers.csv}}
    columns: {{id: int}}
    table: raw/customers
  - stage: ingest
    name: ingest_orders
    source: {{format: csv, path: orders.csv}}
    columns:
      id: bigint
      customer: int
      day: {{type: date, format: yyyy-MM-dd}}
      amount: double
      shop: string
    table: raw/orders
    max_bad_fraction: 0.5
  - stage: clean
    name: clean_orders
    input: raw/orders
    table: clean/orders
    repair:
      shop: {{text: [nfkc, spaces, lower], categories: {{ost: east}}}}
      amount: {{fill: {{within: customer, order_by: day}}}}
    columns:
      id: {{unique: true}}
      customer: {{in_table: {{table: raw/customers, column: id}}}}
      day: {{max_age_days: 7, max_null_fraction: 0}}
      amount: {{minimum: 0, max_psi: 0.2, severity: quarantine}}
      shop: {{allowed: [north, east, test], max_length: 5}}
    conditions:
      no tests: {{holds: "shop <> 'test'", severity: drop}}
      dear: {{holds: amount >= 6, severity: warn}}
    rows: {{minimum: 1}}
    max_bad_fraction: 0.9
  - stage: report
    name: report
    title: Shop
    table: reports/shop
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "customers.csv").write_text("id\n10\n11\n12\n")
    (tmp_path / "orders.csv").write_text(ORDERS)
    file = tmp_path / "shop.yaml"
    file.write_text(YAML.format(warehouse=tmp_path / "lake"))
    return file


def runner(spark: SparkSession, file: Path, *settings: str) -> tuple[Runner, dict[str, Any]]:
    """A runner, and the dict that takes the last event of each stage."""
    events: dict[str, Any] = {}
    pipeline = load_pipeline(file, settings=settings, date="2026-01-08")

    def note(event: Any) -> None:
        if event["event"] == "stage":
            events[event["stage"]] = event

    return Runner(pipeline, Lake(pipeline.warehouse, spark), note), events


def rows(table: Table) -> list[tuple[Any, ...]]:
    found = table.snapshot().dataframe(table.lake.spark).collect()
    return sorted((row.id, row.customer, row.amount, row.shop) for row in found)


def quality(run: Runner, commit: Commit) -> dict[str, list[str]]:
    """The numbers and reasons in each row of the report's table of data quality, by table."""
    page = (Path(run.lake.root) / (commit.metadata or {})["metrics"]["file"]).read_text()
    section = page.split('aria-label="Data quality"')[1].split("</table>")[0].replace("<wbr>", "")
    shares = r"<small>.*?</small>|<[^>]+>"
    lines = (re.sub(shares, " ", line).split() for line in section.split("<tr>")[2:])
    return {line[0]: line[1:] for line in lines}


@pytest.fixture
def stopped(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[Any, str], None]]:
    """Let a function raise, as if the process ended there; `monkeypatch.undo` mends it."""

    def stop(home: Any, name: str) -> None:
        def ended(*arguments: Any, **options: Any) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr(home, name, ended)

    yield stop


@pytest.mark.slow
def test_a_contract_and_rows_sent_again(
    spark: SparkSession,
    shop: Path,
    stopped: Callable[[Any, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run, events = runner(spark, shop)
    commits = run.run()
    commit = commits["clean_orders"]
    counts = {
        name: [event[key] for key in ("rows_in", "rows_out", "quarantined", "removed")]
        for name, event in events.items()
    }
    assert counts["ingest_orders"] == [8, 7, 1, 0]
    assert counts["clean_orders"] == [7, 2, 4, 1]
    metrics = (commit.metadata or {})["metrics"]
    assert metrics["reasons"] == {
        "unique id (id)": 2,
        "customer in raw/customers (customer)": 1,
        "minimum 0 (amount)": 1,
    }
    assert metrics["dropped"] == {"no tests": 1} and metrics["warned"] == {"dear": 3}
    assert metrics["repairs"] == {"shop": 3, "amount": 2}
    assert quality(run, commits["report"])["clean/orders"][:4] == ["7", "2", "4", "1"]
    table = run.lake.table("clean/orders")
    assert rows(table) == [(1, 10, 5.0, "north"), (7, 12, 7.5, "east")]

    # The row as it came, with its shop as it was written.
    side = run.lake.table("quarantine/clean_orders")
    found = reasons_in(side_of(table))
    assert (found.run_id, found.rows, found.reasons[0].rule) == (run.run_id, 4, "unique id")
    samples = found.reasons[0].samples
    assert len(samples) == 2 and {source for _, source in samples} == {"raw/orders@0"}
    assert '"day":"2026-01-01","amount":7.5,"shop":"ＮＯＲＴＨ"' in samples[0][0]

    # The data are corrected: one customer, and the second order 2 is order 8.
    for wrong, right in (
        ('"customer":99', '"customer":10'),
        ('"id":2,"customer":12', '"id":8,"customer":12'),
    ):
        spark.sql(f"update delta.`{side.path}` set row = replace(row, '{wrong}', '{right}')")
    # It ends after the marks, and after the rows were appended.
    for name in ("released", "remove"):
        stopped(again, name)
        with pytest.raises(KeyboardInterrupt):
            runner(spark, shop)[0].again("clean/orders")
        monkeypatch.undo()
    sent = runner(spark, shop)[0].again("clean/orders")
    assert (sent.rows, sent.released, sent.kept, sent.removed) == (1, 0, 1, 0)
    five = [
        (1, 10, 5.0, "north"),
        (2, 11, 7.5, "north"),
        (3, 10, 1.0, "east"),
        (7, 12, 7.5, "east"),
        (8, 12, 7.5, "east"),
    ]
    assert rows(table) == five
    # Of 7 rows that came in 3 more are kept and 1 is left in quarantine: the report says so.
    run, events = runner(spark, shop)
    found = quality(run, run.run()["report"])["clean/orders"]
    assert found[:4] == ["7", "5", "1", "1"]
    text = " ".join(found[4:])
    assert "minimum 0 (amount) 1" in text and "unique id" not in text
    assert "kept when sent again 3" in text
    assert events.pop("report")["status"] == "done"
    assert {event["status"] for event in events.values()} == {"up to date"}
    event = events["clean_orders"]
    assert [event[key] for key in ("rows_in", "rows_out", "quarantined", "removed")] == [7, 5, 1, 1]

    # The rule is corrected.
    mended = runner(spark, shop, "clean_orders.columns.amount.minimum=-10")[0]
    sent = mended.again("quarantine/clean_orders")
    assert (sent.rows, sent.released, sent.table, sent.version) == (1, 1, "clean/orders", 2)
    assert rows(table) == sorted([*five, (4, 10, -5.0, "east")])
    (outcome,) = Replay(run.lake, mended.run_id).stages()
    assert outcome.status == "not replayed" and "sent rows of its quarantine" in outcome.reason

    # A row of a source is typed again, and the stage after it sees a new version.
    raw = run.lake.table("quarantine/ingest_orders")
    spark.sql(f"update delta.`{raw.path}` set row = replace(row, 'soon', '2026-01-05')")
    sent = runner(spark, shop)[0].again("raw/orders")
    assert (sent.rows, sent.released) == (1, 1)
    assert (5, 10, 1.0, "east") in rows(run.lake.table("raw/orders"))
    with pytest.raises(ConfigError, match="no stage has a quarantine of table 'clean/other'"):
        runner(spark, shop)[0].again("clean/other")

    # A stage that fails leaves its table as it was, and its rows in quarantine.
    for setting, error in (
        ("clean_orders.conditions.dear.severity=fail", ContractError),
        ("clean_orders.max_bad_fraction=0.1", TooManyBadRowsError),
    ):
        with pytest.raises(error, match="clean table is as it was"):
            runner(spark, shop, setting)[0].run(only="clean_orders")
    assert rows(table) == sorted([*five, (4, 10, -5.0, "east")])
