"""Models become champions when they pass, stay when others do not, and can be taken back."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sklearn.metrics import roc_auc_score

from sparkmine.errors import BaselineNotBeatenError, ConfigError, DataError
from sparkmine.lake import Lake, ledger
from sparkmine.listing import champion_lines
from sparkmine.pipeline import Runner, load_pipeline
from sparkmine.pipeline.champion import history, roll_back
from sparkmine.pipeline.compare import compare
from sparkmine.pipeline.replay import SAME, Replay

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

CHAMPION = """  - stage: champion
    name: champion
    evaluation: evaluation/models
    table: champions/visits
  - stage: predict
"""
MODELS = "models: {logistic: scores/logistic, tree: scores/tree, averaging: scores/averaging}"
# A model whose baseline is itself: nothing to choose between them.
SELF = {MODELS: "models: {tree: scores/tree}", "majority: scores/majority": "x: scores/tree"}
AVERAGING = {MODELS: "models: {averaging: scores/averaging}"}
TREE = {MODELS: "models: {tree: scores/tree}"}


@pytest.fixture
def run(finished: Path, small: Callable[..., Path], spark: SparkSession, tmp_path: Path):
    """Run the small pipeline with a champion, in a copy of the finished warehouse."""
    shutil.copytree(finished / "lake", tmp_path / "lake", symlinks=True)
    file = small()
    text = file.read_text().replace("  - stage: predict\n", CHAMPION)
    text = text.replace(
        "evaluation: evaluation/models\n    where", "champion: champions/visits\n    where"
    )
    assert MODELS in text and "champion: champions/visits" in text

    def go(
        change: Mapping[str, str] | None = None, settings: Sequence[str] = (), **options: Any
    ) -> tuple[Lake, dict[str, Any]]:
        changed = text
        for old, new in (change or {}).items():
            changed = changed.replace(old, new)
        file.write_text(changed)
        events: dict[str, Any] = {}

        def note(event: Any) -> None:
            if event["event"] == "stage":
                events[event["stage"]] = event

        lake = Lake(tmp_path / "lake", spark)
        Runner(load_pipeline(file, settings=list(settings)), lake, note).run(**options)
        return lake, events

    return go


@pytest.mark.slow
def test_a_champion_is_taken_back(run) -> None:
    lake, events = run(start="champion")
    assert events["champion"]["rows_out"] == 1
    row = roll_back(lake, "champions/visits", 1)
    assert (row["version"], row["why"]) == (2, "rolled back to version 1")
    _, events = run(start="champion")
    assert events["champion"]["status"] == "up to date"
    assert events["predict"]["status"] == "done"
    model = row["model"]
    assert [row["version"] for row in history(lake, "champions/visits")[1]] == [1, 2]
    row = roll_back(lake, "champions/visits", model)
    assert (row["version"], row["why"]) == (3, "rolled back to version 1")
    there = rf"there are 1 \({model}\), 2 \({model}\), 3 \({model}\)"
    with pytest.raises(ConfigError, match=f"no version 9; {there}"):
        roll_back(lake, "champions/visits", 9)
    with pytest.raises(ConfigError, match=f"no earlier version of model forest; {there}"):
        roll_back(lake, "champions/visits", "forest")


def test_a_champion_keeps_its_data_and_all_metrics(run) -> None:
    run(AVERAGING, only="evaluate")
    lake, _ = run(AVERAGING, only="champion")
    _, (row,) = history(lake, "champions/visits")
    # Its members read the features; it has read their scores.
    assert (row["model"], row["data"]) == ("averaging", "features/visits@0")
    table = lake.table("evaluation/models").snapshot().dataframe(lake.spark).collect()
    measured = {
        one["metric"]: (one["value"], one["low"], one["high"])
        for one in table
        if one["model"] == "averaging"
    }
    kept = {one["name"]: (one["value"], one["low"], one["high"]) for one in row["metrics"]}
    assert kept == measured and len(kept) == 10
    assert measured[row["metric"]] == (row["value"], row["low"], row["high"])


@pytest.mark.slow
def test_a_worse_challenger_does_not_take_its_place(run, tmp_path: Path) -> None:
    first = {MODELS: "models: {logistic: scores/logistic}"}
    run(first, only="evaluate")
    lake, _ = run(first, only="champion")
    _, (champion,) = history(lake, "champions/visits")
    # One split: better than no model, and worse than the champion.
    stump = ["tree.model.max_depth=1"]
    for stage in ("tree", "evaluate", "champion"):
        run(TREE, settings=stump, only=stage)
    last, rows = history(lake, "champions/visits")
    metrics = (last.metadata or {})["metrics"]
    assert rows == [champion] and not metrics["promoted"]
    assert metrics["evaluation"].startswith("tree beats the best baseline, majority")
    areas = []
    for table in ("scores/tree", "scores/logistic"):
        scores = lake.table(table).snapshot().where("day > 20").dataframe(lake.spark).toPandas()
        areas.append(roc_auc_score(scores.again, scores.prediction))
    says = "tree is worse than the champion, logistic (version 1), on the same rows: difference in"
    assert metrics["challenge"].startswith(f"{says} ROC-AUC {areas[0] - areas[1]:+.3f} (95")

    # What cannot score is no champion to be compared with.
    shutil.rmtree(Path(lake.root) / champion["folder"])
    run(TREE, settings=stump, only="champion", force=True)
    _, rows = history(lake, "champions/visits")
    assert [row["model"] for row in rows] == ["logistic", "tree"]
    assert "tree was not compared with the champion, logistic (version 1)" in rows[1]["why"]


@pytest.mark.slow
def test_a_champion_that_has_seen_the_rows_is_not_asked(run) -> None:
    first = {MODELS: "models: {logistic: scores/logistic}"}
    run(first, only="evaluate")
    lake, _ = run(first, only="champion")
    _, (champion,) = history(lake, "champions/visits")
    assert champion["learnt"] == ["day <= 18"]
    earlier = ["train=day <= 12", "evaluate.where=day > 14 and day <= 18"]
    for stage in ("majority", "tree", "evaluate", "champion"):
        run(TREE, settings=earlier, only=stage)
    last, rows = history(lake, "champions/visits")
    features = lake.table("features/visits").snapshot().where("day > 14 AND day <= 18")
    says = f"it learnt from {features.dataframe(lake.spark).count():,} of these rows (day <= 18)"
    assert (last.metadata or {})["metrics"]["challenge"].endswith(says)
    assert [row["model"] for row in rows] == ["logistic", "tree"]


@pytest.mark.slow
def test_champions_come_stay_and_return(run) -> None:
    lake, _ = run(start="champion")
    _, rows = history(lake, "champions/visits")
    assert [row["version"] for row in rows] == [1]
    evaluation = lake.table("evaluation/models").commit(
        lake.table("evaluation/models").snapshot().version
    )
    metrics = (evaluation.metadata or {})["metrics"]
    assert metrics["outcome"] == "beats"  # or the test would test nothing
    assert (rows[0]["model"], rows[0]["folder"]) == (metrics["best"], metrics["champion"])
    assert rows[0]["data"] == "features/visits@0"
    assert rows[0]["low"] < rows[0]["value"] < rows[0]["high"]

    # Another fit is another champion.
    changed = ["logistic.model.l2=0.5", "tree.model.max_depth=2", "averaging.weights=[1.0, 2.0]"]
    lake, events = run(settings=changed, start="logistic")
    assert events["champion"]["status"] == "done"
    _, rows = history(lake, "champions/visits")
    assert [row["version"] for row in rows] == [1, 2]
    assert rows[1]["folder"] != rows[0]["folder"]
    assert f"champion, {rows[0]['model']} (version 1), on the same rows" in rows[1]["why"]
    assert _used(lake) == rows[1]["folder"]
    _compares(lake, rows)

    # Taken back, it stays although the pipeline runs again, and scores.
    roll_back(lake, "champions/visits", 1)
    lake, events = run(settings=changed, start="logistic")
    assert events["champion"]["status"] == "up to date"
    assert events["predict"]["status"] == "done"
    _, rows = history(lake, "champions/visits")
    assert [row["why"] for row in rows[1:]][-1] == "rolled back to version 1"
    assert _used(lake) == rows[0]["folder"]
    assert champion_lines(rows)[1].startswith("3 ")

    # One that does not beat the baseline changes nothing, and stops the run where asked.
    lake, events = run(SELF, settings=changed, start="evaluate")
    assert len(history(lake, "champions/visits")[1]) == 3
    with pytest.raises(ConfigError, match="not written by a champion stage"):
        history(lake, "mart/visits")
    _replays(lake)


def test_what_does_not_beat_the_baseline_ends_the_run_with_its_figures(
    run, spark: SparkSession, tmp_path: Path
) -> None:
    must = ["evaluate.must_beat_baseline=true"]
    with pytest.raises(BaselineNotBeatenError, match="does not beat the best baseline, x"):
        run(SELF, settings=must, start="evaluate")
    lake = Lake(tmp_path / "lake", spark)
    line, report, whole = ledger.read(lake)[-3:]
    assert (line["stage"], line["status"]) == ("evaluate", ledger.FAILED)
    assert line["error"] == whole["error"] and line["error"].startswith("BASELINE_NOT_BEATEN")
    metrics = json.loads(line["metrics"])
    values = {
        (row["model"], row["metric"]): row["value"]
        for row in lake.table("evaluation/models").snapshot().dataframe(lake.spark).collect()
    }
    assert metrics["outcome"] == "undecided"
    assert metrics["measured"]["value"] == values["tree", metrics["measured"]["metric"]]
    assert not lake.table("champions/visits").exists()
    # The report shows them, without the stages that did not run.
    assert (report["stage"], report["status"]) == ("report", ledger.SUCCEEDED)
    page = (Path(lake.root) / json.loads(report["metrics"])["file"]).read_text()
    assert "does not beat the best baseline, x" in page and 'class="tag failed"' in page
    # Nothing goes on from them, and they are measured again.
    with pytest.raises(ConfigError, match=r"champion reads evaluation/models.* was refused"):
        run(SELF, settings=must, only="champion")
    with pytest.raises(BaselineNotBeatenError):
        run(SELF, settings=must, start="evaluate")
    reasons = [row["reason"] for row in ledger.read(lake) if row["stage"] == "evaluate"]
    assert reasons[-1] == "its result was refused"
    lines = ledger.read(lake)
    assert ledger.rebuild(lake) == len(lines)
    found = [(row["stage"], row["status"], row["error"]) for row in ledger.read(lake)]
    assert sorted(found) == sorted((row["stage"], row["status"], row["error"]) for row in lines)


def test_no_model_has_passed(run, spark: SparkSession, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="champions/visits has no model yet"):
        run(SELF, start="evaluate")
    lake = Lake(tmp_path / "lake", spark)
    lines = ledger.read(lake)
    (pair,) = compare(lake, lines[0]["run_id"], lines[-1]["run_id"]).champions
    assert pair.b is not None and pair.b.model is None
    assert pair.b.why.startswith("tree does not beat the best baseline, x")


def _compares(lake: Lake, rows: list[dict[str, Any]]) -> None:
    """The comparison tells the champion after each run, and that both measured the same rows."""
    first, one, other = dict.fromkeys(line["run_id"] for line in ledger.read(lake))
    (pair,) = compare(lake, one, other).champions
    assert pair.a is not None and pair.b is not None and not pair.same
    assert (pair.a.version, pair.a.model, pair.a.promoted) == (1, rows[0]["model"], True)
    assert (pair.b.version, pair.b.model, pair.b.promoted) == (2, rows[1]["model"], True)
    found = compare(lake, first, other)
    assert found.champions[0].a is None
    # All scores were made anew, of the same rows.
    (evaluations,) = found.evaluations
    assert evaluations.rows == "same" and "mart/visits@0" in evaluations.rows_note


def _used(lake: Lake) -> str:
    """The folder of the model that the newest predictions were made by."""
    table = lake.table("predictions/visits")
    data = table.commit(table.snapshot().version).metadata or {}
    champions = lake.table("champions/visits").commit(data["followed"]["champions/visits"])
    return str((champions.metadata or {})["metrics"]["champion"])


def _replays(lake: Lake) -> None:
    """The run that made the second champion gives the same again."""
    commits = [c for c in lake.table("champions/visits").commits() if c.metadata]
    second = next(c for c in commits if c.metadata["metrics"]["version"] == 2)
    outcomes = list(Replay(lake, second.metadata["run_id"]).stages())
    assert {o.stage: o.status for o in outcomes}["champion"] == SAME, outcomes
