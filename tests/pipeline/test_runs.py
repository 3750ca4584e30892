"""A whole small pipeline: accounting, fingerprints, the ledger, failures that lose nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from html.parser import HTMLParser
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from sparkmine.errors import (
    AccountingError,
    ConfigError,
    SourceColumnsError,
    SourceEmptyError,
    TableDamagedError,
    TooFewSlotsError,
    TooManyBadRowsError,
    VersionError,
)
from sparkmine.evaluate.changes import StageChange
from sparkmine.lake import Lake, ledger
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.pipeline.compare import compare

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

Small = Callable[..., Path]


def run(
    spark: SparkSession, file: Path, *, settings: list[str] | None = None, **options: Any
) -> dict[str, Mapping[str, Any]]:
    """Run in this process; the last event of every stage."""
    pipeline = load_pipeline(file, settings=settings or [], date=options.pop("date", None))
    events: dict[str, Mapping[str, Any]] = {}
    reasons: dict[str, str] = {}

    def note(event: Mapping[str, Any]) -> None:
        if event["event"] == "stage":
            if event["status"] == "running":
                reasons[event["stage"]] = event["reason"]
            events[event["stage"]] = {**event, "reason": reasons.get(event["stage"], "")}

    Runner(pipeline, Lake(pipeline.warehouse, spark), note).run(**options)
    return events


def statuses(events: dict[str, Mapping[str, Any]]) -> dict[str, str]:
    return {name: event["status"] for name, event in events.items()}


@pytest.fixture
def done(
    spark: SparkSession, small: Small, finished: Path, tmp_path: Path
) -> tuple[Path, dict[str, Mapping[str, Any]]]:
    """The YAML file of a pipeline that has run once, and the events of that run."""
    file = small()
    shutil.copytree(finished / "lake", tmp_path / "lake", symlinks=True)
    return file, json.loads((finished / "events.json").read_text())


Done = tuple[Path, dict[str, Mapping[str, Any]]]


def lake_of(spark: SparkSession, file: Path) -> Lake:
    return Lake(load_pipeline(file).warehouse, spark)


def versions(lake: Lake) -> dict[str, int]:
    return {name: next(lake.table(name).commits()).version for name in lake.tables()}


def test_every_row_is_accounted_for(
    spark: SparkSession, done: Done, expected_rows: dict[str, tuple[int, int, int, int]]
) -> None:
    file, events = done
    lake = lake_of(spark, file)
    for stage, expected in expected_rows.items():
        event = events[stage]
        keys = ("rows_in", "rows_out", "quarantined", "removed")
        assert tuple(event[key] for key in keys) == expected
        if stage != "dedup":
            rows = lake.table(f"quarantine/{stage}").snapshot().dataframe(spark).collect()
            assert len(rows) == expected[2] and all(row["reasons"] for row in rows)
    bad = lake.table("quarantine/ingest").snapshot().dataframe(spark).collect()
    assert {json.loads(row["row"])["day"] for row in bad} == {"soon"}
    assert {(r["rule"], r["column"]) for row in bad for r in row["reasons"]} == {
        ("type int", "day")
    }
    reasons = [line["metrics"] for line in ledger.read(lake) if line["stage"] == "clean"]
    assert json.loads(reasons[0])["reasons"] == {"known shop": 10, "not_null (household)": 5}


def test_the_survivor_is_the_larger_amount(spark: SparkSession, done: Done) -> None:
    lake = lake_of(spark, done[0])
    clean = lake.table("clean/visits").snapshot().dataframe(spark).toPandas()
    unique = lake.table("unique/visits").snapshot().dataframe(spark).toPandas()
    largest = clean.groupby("id")["amount"].max()
    assert (unique.set_index("id")["amount"].sort_index() == largest.sort_index()).all()


def test_a_second_run_does_nothing(spark: SparkSession, done: Done) -> None:
    file, _ = done
    lake = lake_of(spark, file)
    before = versions(lake)
    assert set(statuses(run(spark, file)).values()) == {"up to date"}
    after = versions(lake)
    changed = {name for name in after if after[name] != before[name]}
    assert changed == {"_ledger"}


def test_a_change_reruns_what_depends_on_it_and_says_why(spark: SparkSession, done: Done) -> None:
    file, _ = done
    events = run(spark, file, settings=["tree.model.max_depth=2"])
    ran = {name for name, status in statuses(events).items() if status == "done"}
    assert ran == {"tree", "averaging", "evaluate", "predict", "report"}
    assert events["tree"]["reason"] == "model.max_depth changed (3 → 2)"
    assert events["averaging"]["reason"] == "input scores/tree changed (version 0 → 1)"
    compares_both_runs(lake_of(spark, file))
    # Back to the first setting: the table holds the other result, so it must run again.
    assert decided(spark, file, "tree") == "model.max_depth changed (2 → 3)"
    (file.parent / "table.sql").write_text(
        "select id, household, day, amount, amount * 3 as twice, shop, again from visits"
    )
    assert decided(spark, file, "table") == "file table.sql changed"
    assert decided(spark, file, "clean") == ""
    assert decided(spark, file, "clean", force=True) == "forced"


def compares_both_runs(lake: Lake) -> None:
    """The comparison of the first run and the one with a shallower tree."""
    lines = ledger.read(lake)
    a, b = dict.fromkeys(line["run_id"] for line in lines)
    found = compare(lake, a, b)
    assert (found.a.run_id, found.b.run_id, found.notes) == (a, b, ())
    assert found.a.status == found.b.status == "succeeded" and found.b.seed == 3
    seconds = {x["run_id"]: x["seconds"] for x in lines if not x["stage"] and x["seconds"]}
    assert (found.a.seconds, found.b.seconds) == (seconds[a], seconds[b])
    stages = {stage.name: stage for stage in found.stages}
    assert list(stages)[:4] == ["ingest", "clean", "dedup", "table"] and len(stages) == 13
    differ = {"tree", "averaging", "evaluate", "predict", "report"}
    assert {stage.name for stage in found.changed} == differ
    assert stages["tree"].changes == (
        StageChange(what="setting", name="model.max_depth", a="3", b="2"),
    )
    assert stages["averaging"].changes == (
        StageChange(what="input", name="scores/tree", a="0", b="1"),
    )
    tree, clean = stages["tree"], stages["clean"]
    assert tree.a and tree.b and clean.a and clean.b
    assert (tree.a.version, tree.b.version, tree.b.read) == (0, 1, {"features/visits": 0})
    assert tree.b.why == "model.max_depth changed (3 → 2)"
    assert (clean.a.status, clean.b.status, clean.b.rows_in) == ("done", "up to date", 1208)
    assert clean.b.reasons == {"known shop": 10, "not_null (household)": 5}
    (pair,) = found.evaluations
    assert (pair.rows, pair.rows_note) == (
        "same",
        "Both evaluations are over the same rows, of mart/visits@0.",
    )
    # What the page shows of each run is what its evaluation left in the table.
    for version, evaluation in ((0, pair.a), (1, pair.b)):
        assert evaluation is not None
        rows = lake.table("evaluation/models").snapshot(version).dataframe(lake.spark).collect()
        shown = {
            (m.name, name): i.value for m in evaluation.models for name, i in m.metrics.items()
        }
        assert {(row["model"], row["metric"]): row["value"] for row in rows} == shown
    # Without the files of one, the rest stands.
    shutil.rmtree(Path(lake.root) / "_artifacts" / "evaluate")
    (pair,) = compare(lake, a, b).evaluations
    assert pair.a is None and pair.b is None and len(pair.notes) == 2


def decided(spark: SparkSession, file: Path, name: str, force: bool = False) -> str:
    """Why a stage would run, given its inputs as they are; empty when it is up to date."""
    pipeline = load_pipeline(file)
    runner = Runner(pipeline, Lake(pipeline.warehouse, spark), lambda event: None)
    for before in pipeline.after[name]:
        stage = pipeline.stage(before)
        runner.decisions.follow(stage, next(runner.lake.table(stage.writes).commits()))
    return runner.decisions.decide(pipeline.stage(name), force).reason


def test_the_report_shows_the_run(spark: SparkSession, done: Done) -> None:
    lake = lake_of(spark, done[0])
    commit = next(lake.table("reports/small").commits())
    assert commit.metadata is not None
    text = (Path(lake.root) / commit.metadata["metrics"]["file"]).read_text()
    HTMLParser().feed(text)
    for word in (
        "clean/visits",
        "known shop",
        "logistic",
        "majority",
        "1,193",
        "evaluation/models",
    ):
        assert word in text
    assert "http://www.w3.org" in text and 'src="http' not in text and 'href="http' not in text


def test_the_ledger_can_be_rebuilt(spark: SparkSession, done: Done) -> None:
    lake = lake_of(spark, done[0])
    keys = (
        "stage",
        "kind",
        "fingerprint",
        "version_written",
        "rows_in",
        "rows_out",
        "quarantined",
        "removed",
        "versions_read",
        "metrics",
        "seed",
        "code_version",
    )

    def content() -> list[str]:
        return sorted(str([row[key] for key in keys]) for row in ledger.read(lake) if row["stage"])

    before = content()
    shutil.rmtree(Path(lake.root) / "_ledger")
    ledger.rebuild(lake)
    assert content() == before and len(before) == 13


def test_commits_of_a_run_that_was_killed_are_recognised(spark: SparkSession, done: Done) -> None:
    """Killed after its commits, before a line of them was in the ledger."""
    file, _ = done
    lake = lake_of(spark, file)
    runs = {line["run_id"] for line in ledger.read(lake)}
    shutil.rmtree(Path(lake.root) / "_ledger")
    before = versions(lake)
    assert set(statuses(run(spark, file)).values()) == {"up to date"}
    after = versions(lake)
    assert {**before, "_ledger": after["_ledger"]} == after
    added = [line for line in ledger.read(lake) if line["run_id"] in runs]
    assert len(added) == 13 and {line["status"] for line in added} == {ledger.SUCCEEDED}


@pytest.mark.slow
def test_compacted_tables_are_read_as_they_are_now(spark: SparkSession, done: Done) -> None:
    """What was compacted away may be vacuumed one day; the fingerprint stays."""
    file, _ = done
    lake = lake_of(spark, file)
    raw = lake.table("raw/visits")
    spark.sql(f"optimize delta.`{raw.path}`")
    spark.sql(f"alter table delta.`{raw.path}` set tblproperties ('note' = 'x')")
    newest = raw.snapshot().version
    assert newest > 0
    events = run(spark, file, only="clean", force=True)
    assert events["clean"]["reason"] == "forced" and events["clean"]["rows_out"] == 1193
    line = [line for line in ledger.read(lake) if line["stage"] == "clean"][-1]
    assert line["versions_read"] == {"raw/visits": newest}
    assert run(spark, file, only="clean")["clean"]["status"] == "up to date"


def test_too_many_bad_rows_leave_the_clean_table_as_it_was(spark: SparkSession, done: Done) -> None:
    file, _ = done
    lake = lake_of(spark, file)
    before = lake.table("clean/visits").snapshot().version
    with pytest.raises(TooManyBadRowsError, match=r"known shop: 10.*quarantine/clean"):
        run(spark, file, settings=["clean.max_bad_fraction=0.01"])
    assert lake.table("clean/visits").snapshot().version == before
    rows = lake.table("quarantine/clean").snapshot().dataframe(spark)
    assert rows.groupBy("run_id").count().count() == 2  # the failed run's rows, and the good one's
    failed = [row for row in ledger.read(lake) if row["status"] == ledger.FAILED]
    assert {row["stage"] for row in failed} == {"clean", ""}
    first = ledger.read(lake)[0]["run_id"]
    found = compare(lake, first, failed[0]["run_id"])
    assert found.b.status == "failed" and "TOO_MANY_BAD_ROWS" in found.b.error
    stages = {stage.name: stage for stage in found.stages}
    assert stages["ingest"].same and stages["clean"].note == "It failed in run B."
    assert stages["dedup"].b is None and stages["dedup"].note == "Run B has no line of it."
    (pair,) = found.evaluations
    assert pair.a is not None and pair.b is None and pair.rows_note == ""
    assert "TOO_MANY_BAD_ROWS" in failed[0]["error"]


def test_another_writer_is_noticed(spark: SparkSession, done: Done) -> None:
    file, _ = done
    lake = lake_of(spark, file)
    path = lake.table("clean/visits").path
    spark.sql(f"optimize delta.`{path}`")  # maintenance is no other writer
    assert "failed" not in statuses(run(spark, file)).values()
    spark.sql(f"delete from delta.`{path}` where id = 50")
    with pytest.raises(VersionError, match=r"clean/visits: version \d+ \(DELETE\)"):
        run(spark, file)
    spark.sql(f"restore delta.`{path}` to version as of 1")  # as the error advises
    assert set(statuses(run(spark, file)).values()) == {"up to date"}


def test_a_damaged_input_names_its_file(spark: SparkSession, done: Done) -> None:
    file, _ = done
    lake = lake_of(spark, file)
    victim = Path(lake.table("mart/visits").snapshot().files[0].path)
    victim.unlink()
    with pytest.raises(TableDamagedError, match=victim.name):
        run(spark, file, only="features", force=True)


def test_scores_that_do_not_join_one_to_one(spark: SparkSession, done: Done) -> None:
    file, _ = done
    keys = ["averaging.keys=[household]"]
    for _ in range(2):  # what is wrong is not taken for a result by the next run
        with pytest.raises(AccountingError, match="`keys:` that name a row"):
            run(spark, file, only="averaging", settings=keys)


def source(file: Path) -> Path:
    return file.parent / "visits.csv"


def test_sources_with_other_columns_or_without_rows(spark: SparkSession, small: Small) -> None:
    file = small()
    lines = source(file).read_text().splitlines()
    source(file).write_text("\n".join([lines[0].replace("amount", "amuont"), *lines[1:]]))
    with pytest.raises(
        SourceColumnsError, match=r"missing \['amount'\], not declared \['amuont'\]"
    ):
        run(spark, file)
    source(file).write_text(lines[0] + "\n")
    with pytest.raises(SourceEmptyError, match="no rows"):
        run(spark, file)
    # The same columns in another order, in a second file: their values must not be swapped.
    folder = file.parent / "visits.csv.d"
    folder.mkdir()
    (folder / "a.csv").write_text("\n".join(lines[:50]))
    (folder / "b.csv").write_text("id,day,household,amount,shop,again\n1,2,3,4.0,north,1\n")
    file.write_text(file.read_text().replace("path: visits.csv", "path: visits.csv.d"))
    with pytest.raises(SourceColumnsError, match="names or order"):
        run(spark, file)


def test_more_ranks_than_slots_is_an_error_at_once(
    spark: SparkSession, done: Done, small: Small
) -> None:
    file = small(training=True)
    with pytest.raises(TooFewSlotsError, match="3"):
        run(spark, file, only="mlp", settings=["mlp.ranks=3"])


def test_only_needs_the_tables_before_it(spark: SparkSession, small: Small) -> None:
    with pytest.raises(ConfigError, match="stage ingest has not run yet"):
        run(spark, small(), only="clean")


DAILY = """
pipeline: daily
warehouse: {warehouse}
stages:
  - stage: ingest
    name: ingest
    source: {{format: json, path: "${{date}}.json"}}
    columns: {{id: bigint, day: date}}
    table: raw/days
    output: {{partition_by: day, replace: "day = '${{date}}'"}}
  - stage: clean
    name: clean
    input: raw/days
    table: clean/days
    columns: {{id: {{minimum: 0}}}}
    max_bad_fraction: 1.0
    output: {{partition_by: day, replace: "day = '${{date}}'"}}
  - stage: query
    name: totals
    sql: totals.sql
    inputs: {{days: clean/days}}
    table: mart/totals
"""


class Days:
    """The daily pipeline, its sources and what its tables hold."""

    def __init__(self, spark: SparkSession, file: Path, lake: Lake) -> None:
        self.spark, self.file, self.lake = spark, file, lake
        query = "select day, count(*) as ids from days group by day"
        (file.parent / "totals.sql").write_text(query)

    def write(self, day: str, ids: list[int]) -> None:
        rows = [json.dumps({"id": i, "day": day}) for i in ids]
        (self.file.parent / f"{day}.json").write_text("\n".join(rows) + "\n")

    def run(self, day: str) -> dict[str, Mapping[str, Any]]:
        return run(self.spark, self.file, date=day)

    def ids(self, day: str) -> list[int]:
        table = self.lake.table("clean/days").snapshot().where(f"day = '{day}'")
        return sorted(row["id"] for row in table.dataframe(self.spark).collect())

    def files(self, day: str) -> set[str]:
        table = self.lake.table("clean/days").snapshot().where(f"day = '{day}'")
        return {file.path for file in table.files}

    def totals(self) -> dict[str, int]:
        rows = self.lake.table("mart/totals").snapshot().dataframe(self.spark).collect()
        return {str(row["day"]): row["ids"] for row in rows}


@pytest.fixture
def days(spark: SparkSession, small: Small, tmp_path: Path) -> Days:
    """Two days, both run."""
    days = Days(spark, small(text=DAILY), Lake(tmp_path / "lake", spark))
    days.write("2026-01-01", [1, 2, -3])
    days.write("2026-01-02", [4, 5])
    days.run("2026-01-01")
    days.run("2026-01-02")
    return days


@pytest.mark.slow
def test_a_rerun_for_an_earlier_date_rewrites_its_partition_only(days: Days) -> None:
    kept = days.files("2026-01-02")
    days.write("2026-01-01", [1, 2, 3, 6])
    events = days.run("2026-01-01")
    assert events["ingest"]["reason"] == "file 2026-01-01.json changed"
    assert days.ids("2026-01-01") == [1, 2, 3, 6] and days.ids("2026-01-02") == [4, 5]
    assert days.files("2026-01-02") == kept
    # The other date is as it was, and what reads both has both.
    assert set(statuses(days.run("2026-01-02")).values()) == {"up to date"}
    assert days.totals() == {"2026-01-01": 4, "2026-01-02": 2}


@pytest.mark.slow
def test_a_run_that_replaces_all_dates_makes_each_run_again(days: Days) -> None:
    assert set(statuses(days.run("2026-01-01")).values()) == {"up to date"}
    whole = days.file.with_name("whole.yaml")
    whole.write_text(days.file.read_text().replace(", replace: \"day = '${date}'\"", ""))
    run(days.spark, whole, date="2026-01-02")
    assert days.totals() == {"2026-01-02": 2}
    assert statuses(days.run("2026-01-01"))["ingest"] == "done"
    assert days.totals() == {"2026-01-01": 2, "2026-01-02": 2}
