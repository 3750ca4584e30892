"""report: one HTML file over everything that the other stages committed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import pyarrow as pa

from sparkmine.evaluate.explain import Explanation
from sparkmine.evaluate.report import (
    Candidate,
    Champion,
    Clusters,
    FuzzyMatches,
    Histogram,
    KeywordTable,
    Leakage,
    LearningCurve,
    MissingValues,
    NearCopies,
    Predictions,
    ReportData,
    Rule,
    Rules,
    RunInfo,
    ScoredPair,
    Searched,
    Spectrum,
    StageInfo,
    StrangeRows,
    TableQuality,
    TopicTable,
    WeightLevel,
    render,
)
from sparkmine.lake import ledger
from sparkmine.lake.log import Commit
from sparkmine.stages.base import Context, Result, Stage, TableName, artifact_folder
from sparkmine.stages.evaluate import load_evaluation
from sparkmine.stages.explain import load_explanation

FILE = "report.html"
MAX_RULES = 300
QUALITY_KINDS = ("ingest", "clean", "dedup", "near_duplicates", "fuzzy_records")


class Report(Stage):
    """Write `report.html`, self-contained, from the commits of all other stages."""

    kind: ClassVar[str] = "report"
    stage: Literal["report"]
    title: str
    question: str = ""
    table: TableName

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {}

    @property
    def reads_all(self) -> bool:
        return True

    def run(self, context: Context) -> Result:
        folder = context.artifact()
        folder.mkdir(parents=True, exist_ok=True)
        file = render(self._data(context), folder / FILE)
        content = file.read_bytes()
        row = {
            "run_id": [context.run_id],
            "file": [str(file.relative_to(context.target.root))],
            "bytes": [len(content)],
            "sha256": [hashlib.sha256(content).hexdigest()],
        }
        return Result(
            frame=context.spark.createDataFrame(pa.table(row)),
            metrics={"file": str(file.relative_to(context.target.root))},
            artifact=True,
        )

    def _data(self, context: Context) -> ReportData:
        stages = [(commit.metadata or {}, commit) for commit in context.commits.values()]
        learning, spectra, missing, quality, copies, fuzzy = [], [], [], [], [], []
        evaluation, champion, rules, predictions = None, None, None, None
        leakage: list[Leakage] = []
        outliers: list[StrangeRows] = []
        clusters: list[Clusters] = []
        searches: list[Searched] = []
        explanations: list[Explanation] = []
        keywords: list[KeywordTable] = []
        topics: list[TopicTable] = []
        for data, commit in stages:
            metrics, name = data["metrics"], data["stage"]
            if data["kind"] in QUALITY_KINDS and data["rows_in"] is not None:
                quality.append(_quality(data, commit))
            if "near_duplicates" in metrics:
                copies.append(_copies(data["table"], metrics["near_duplicates"]))
            if "fuzzy_records" in metrics:
                fuzzy.append(_fuzzy(data["table"], metrics["fuzzy_records"]))
            if "missing" in metrics:
                missing.append(MissingValues(table=data["table"], fractions=metrics["missing"]))
            for title, ratio in metrics.get("spectra", {}).items():
                spectra.append(Spectrum(name=title, explained=tuple(ratio)))
            if "history" in metrics:
                learning.append(LearningCurve(model=name, history=_history(metrics["history"])))
            if data["kind"] == "evaluate":
                evaluation = load_evaluation(
                    artifact_folder(context.lake, name, data["fingerprint"])
                )
            if data["kind"] == "champion":
                champion = _champion(data["table"], metrics)
            if "outliers" in metrics:
                outliers.append(_outliers(data["table"], metrics["outliers"]))
            if "kmeans" in metrics:
                clusters.append(_clusters(data["table"], metrics["kmeans"]))
            if "search" in metrics:
                searches.append(_searched(name, metrics["search"]))
            if data["kind"] == "explain":
                folder = artifact_folder(context.lake, name, data["fingerprint"])
                explanations.append(load_explanation(folder))
            if "keywords" in metrics:
                keywords.append(KeywordTable.of(data["table"], metrics["keywords"]))
            if "topics" in metrics:
                topics.append(TopicTable.of(data["table"], metrics["topics"]))
            if "leakage" in metrics:
                leakage.append(_leakage(data))
            if data["kind"] == "rules":
                rules = self._rules(context, data, commit)
            if data["kind"] == "predict":
                predictions = _predictions(data, commit)
        return ReportData(
            title=self.title,
            question=self.question,
            run=RunInfo(
                run_id=context.run_id,
                date=context.date,
                code_version=context.code_version,
                seed=context.seed,
            ),
            stages=tuple(_info(data, commit, context) for data, commit in stages),
            quality=tuple(quality),
            copies=tuple(copies),
            fuzzy=tuple(fuzzy),
            missing=tuple(missing),
            spectra=tuple(spectra),
            learning=tuple(learning),
            outliers=tuple(outliers),
            clusters=tuple(clusters),
            searches=tuple(searches),
            keywords=tuple(keywords),
            topics=tuple(topics),
            leakage=tuple(leakage),
            evaluation=evaluation,
            champion=champion,
            explanations=tuple(explanations),
            rules=rules,
            predictions=predictions,
        )

    def _rules(self, context: Context, data: dict[str, Any], commit: Commit) -> Rules:
        from pyspark.sql import functions as F

        found = context.frame(data["table"]).orderBy(
            F.col("lift").desc(), F.col("confidence").desc(), "antecedent", "consequent"
        )
        return Rules(
            rules=tuple(
                Rule(
                    antecedent=tuple(row["antecedent"]),
                    consequent=tuple(row["consequent"]),
                    support=row["support"],
                    confidence=row["confidence"],
                    lift=row["lift"],
                    leverage=row["leverage"],
                    conviction=row["conviction"],
                    zhang=row["zhang"],
                )
                for row in found.limit(MAX_RULES).collect()
            ),
            total=commit.rows or 0,
            baskets=data["metrics"]["rules"]["baskets"],
            item=data["config"].get("item", "items"),
        )


def _info(data: dict[str, Any], commit: Commit, context: Context) -> StageInfo:
    accounts = ledger.accounts_of(commit)
    return StageInfo(
        name=data["stage"],
        kind=data["kind"],
        status="done" if data["run_id"] == context.run_id else "up to date",
        rows_in=accounts.rows_in,
        rows_out=accounts.kept,
        quarantined=accounts.quarantined,
        removed=accounts.removed,
        seconds=ledger.seconds_of(commit),
        table=data["table"],
        version=commit.version,
        inputs=tuple(data["after"]),
        note=data["reason"],
    )


# Figures of an update of what other runs have kept.
_CHANGES = {
    "survived": "Rows that stay",
    "new": "Texts new or changed",
    "deleted": "Texts gone or changed",
    "new_clusters": "New clusters",
    "merged": "Clusters that became part of others",
}
_NOTES = {"dropped": "dropped", "warned": "warning", "repairs": "values repaired"}


def notes_of(metrics: Mapping[str, Any]) -> dict[str, int]:
    """Counts of a stage's metrics that are no reasons for quarantine, by what they count."""
    return {
        f"{what}: {name}": count
        for key, what in _NOTES.items()
        for name, count in metrics.get(key, {}).items()
    }


def _quality(data: dict[str, Any], commit: Commit) -> TableQuality:
    accounts = ledger.accounts_of(commit)
    sent = {"kept when sent again": accounts.sent_again} if accounts.sent_again else {}
    return TableQuality(
        table=data["table"],
        rows_in=accounts.rows_in or 0,
        kept=accounts.kept or 0,
        quarantined=accounts.quarantined or 0,
        removed=accounts.removed or 0,
        reasons=data["metrics"].get("reasons", {}),
        notes=sent | notes_of(data["metrics"]),
    )


def _copies(table: str, figures: dict[str, Any]) -> NearCopies:
    return NearCopies(
        table=table,
        rows=figures["rows"],
        clusters=figures["clusters"],
        compared=figures["pairs_compared"],
        near=figures["edges"],
        threshold=figures["threshold"],
        largest=tuple((str(name), rows) for name, rows in figures["largest"]),
        examples=tuple((s, one, other) for s, one, other in figures.get("examples", ())),
        changes=tuple((what, figures[name]) for name, what in _CHANGES.items() if name in figures),
    )


def _fuzzy(table: str, figures: dict[str, Any]) -> FuzzyMatches:
    verified = figures.get("verified", {})
    return FuzzyMatches(
        table=table,
        rows=figures["rows"],
        clusters=figures["clusters"],
        compared=figures["pairs_compared"],
        matched=figures["edges"],
        near_misses=figures["near_misses"],
        threshold=figures["threshold"],
        expected_precision=figures["expected_precision"],
        verified=verified.get("pairs", 0),
        precision=verified.get("precision"),
        recall=verified.get("recall"),
        largest=tuple((str(name), rows) for name, rows in figures["largest"]),
        levels=tuple(WeightLevel(**level) for level in figures["levels"]),
        examples=tuple(
            ScoredPair(
                probability=example["probability"],
                matched=example["matched"],
                values=tuple(map(tuple, example["values"])),
                bars=tuple(map(tuple, example["bars"])),
            )
            for example in figures["examples"]
        ),
    )


def _champion(table: str, metrics: dict[str, Any]) -> Champion:
    return Champion(
        table=table,
        model=metrics["best"],
        version=metrics["version"],
        why=metrics["why"],
        promoted=metrics["promoted"],
        verdict=metrics["evaluation"],
    )


def _outliers(table: str, figures: dict[str, Any]) -> StrangeRows:
    return StrangeRows(
        table=table,
        rows=figures["rows"],
        features=figures["features"],
        methods=tuple(figures["methods"]),
        top=tuple((row["row"], row["score"], tuple(row["reasons"])) for row in figures["top"]),
        roc_auc=figures.get("roc_auc"),
    )


def _clusters(table: str, figures: dict[str, Any]) -> Clusters:
    tried = figures.get("choice", {}).get("tried", [])
    return Clusters(
        table=table,
        rows=figures["rows"],
        inertia=figures["inertia"],
        profiles=tuple((p["size"], p["share"], p["text"]) for p in figures["profiles"]),
        features=tuple(figures["features"]),
        means=tuple(map(tuple, figures["means"])),
        choice=tuple((t["k"], t["inertia"], t["silhouette"], t["stability"]) for t in tried),
    )


def _searched(stage: str, figures: dict[str, Any]) -> Searched:
    return Searched(
        stage=stage,
        metric=figures["metric"],
        folds=figures["folds"],
        candidates=tuple(
            Candidate(
                parameters=", ".join(
                    f"{name} {f'{value:.4g}' if isinstance(value, float) else value}"
                    for name, value in trial["parameters"].items()
                ),
                mean=trial["mean"],
                standard_error=trial["standard_error"],
                seconds=trial["seconds"],
                chosen=trial["number"] == figures["chosen"],
                error=trial["error"],
            )
            for trial in figures["trials"]
        ),
        tried=figures["tried"],
        failed=figures["failed"],
        seconds=figures["seconds"],
    )


def _leakage(data: dict[str, Any]) -> Leakage:
    metrics = data["metrics"]
    return Leakage(
        table=data["config"]["input"],
        train=metrics["train"],
        test=metrics["test"],
        findings=tuple((found["check"], found["text"]) for found in metrics["leakage"]),
    )


def _history(epochs: list[dict[str, Any]]) -> dict[str, tuple[float, ...]]:
    shown = [name for name in epochs[0] if "loss" in name or "auc" in name] if epochs else []
    return {name: tuple(float(epoch[name]) for epoch in epochs) for name in shown}


def _predictions(data: dict[str, Any], commit: Commit) -> Predictions:
    metrics = data["metrics"]
    return Predictions(
        table=data["table"],
        version=commit.version,
        rows=metrics["rows"],
        model=metrics["model"],
        scores=Histogram(**{name: tuple(found) for name, found in metrics["histogram"].items()}),
        task=metrics["task"],
        about=metrics["where"],
        positives=metrics.get("positives"),
        threshold=metrics.get("threshold"),
    )
