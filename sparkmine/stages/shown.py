"""What the commit of one stage says, as the plain data that the report shows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sparkmine.evaluate.report import (
    Candidate,
    Champion,
    Clusters,
    EqualRows,
    FrequentItemset,
    FrequentItemsets,
    FuzzyMatches,
    Histogram,
    Leakage,
    NearCopies,
    Predictions,
    Rule,
    Rules,
    ScoredPair,
    Searched,
    StrangeRows,
    TableQuality,
    WeightLevel,
)
from sparkmine.lake import ledger
from sparkmine.lake.log import Commit
from sparkmine.stages.base import Context, artifact_folder

MAX_RULES, MAX_ITEMSETS, MAX_CANDIDATES = 300, 20, 200


@dataclass(frozen=True)
class Left:
    """What one stage left: its commit, and the metadata in it."""

    context: Context
    data: dict[str, Any]
    commit: Commit

    @property
    def metrics(self) -> dict[str, Any]:
        found: dict[str, Any] = self.data["metrics"]
        return found

    @property
    def table(self) -> str:
        return str(self.data["table"])

    @property
    def name(self) -> str:
        return str(self.data["stage"])

    @property
    def folder(self) -> Path:
        """Of its files."""
        return artifact_folder(self.context.lake, self.name, self.data["fingerprint"])


def itemsets(left: Left) -> FrequentItemsets:
    from pyspark.sql import functions as F

    config, figures = left.data["config"], left.metrics["itemsets"]
    found = left.context.frame(left.table).withColumn("length", F.size("items"))
    lengths = found.groupBy("length").count().orderBy("length").collect()
    several = found.where("length > 1").orderBy(F.col("count").desc(), "items")
    return FrequentItemsets(
        table=left.table,
        keep=config.get("keep", "all"),
        min_support=config.get("min_support", 0.01),
        baskets=figures["baskets"],
        mined=figures["mined"],
        lengths=tuple((row["length"], row["count"]) for row in lengths),
        first=tuple(
            FrequentItemset(items=tuple(row["items"]), support=row["support"], baskets=row["count"])
            for row in several.limit(MAX_ITEMSETS).collect()
        ),
    )


def rules(left: Left) -> Rules:
    from pyspark.sql import functions as F

    found = left.context.frame(left.table).orderBy(
        F.col("lift").desc(), F.col("confidence").desc(), "antecedent", "consequent"
    )
    return Rules(
        stage=left.name,
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
        total=left.commit.rows or 0,
        baskets=left.metrics["rules"]["baskets"],
        item=left.data["config"].get("item", "items"),
    )


# Figures of an update of what other runs have kept.
_CHANGES = {
    "survived": "Rows that stay",
    "new": "Texts new or changed",
    "deleted": "Texts gone or changed",
    "new_clusters": "New clusters",
    "merged": "Clusters that became part of others",
}
_NOTES = {
    "dropped": "dropped",
    "warned": "warning",
    "repairs": "values repaired",
    "skipped": "skipped",
}


def notes_of(metrics: Mapping[str, Any]) -> dict[str, int]:
    """Counts of a stage's metrics that are no reasons for quarantine, by what they count."""
    return {
        f"{what}: {name}": count
        for key, what in _NOTES.items()
        for name, count in metrics.get(key, {}).items()
    }


def quality(left: Left) -> TableQuality:
    accounts = ledger.accounts_of(left.commit)
    sent = {"kept when sent again": accounts.sent_again} if accounts.sent_again else {}
    return TableQuality(
        table=left.table,
        rows_in=accounts.rows_in or 0,
        kept=accounts.kept or 0,
        quarantined=accounts.quarantined or 0,
        removed=accounts.removed or 0,
        reasons=left.metrics.get("reasons", {}),
        notes=sent | notes_of(left.metrics),
    )


def equal(left: Left) -> EqualRows:
    figures, key = left.metrics["dedup"], left.data["config"].get("key")
    return EqualRows(
        table=left.table,
        rows=figures["rows"],
        groups=figures["groups"],
        removed=figures["removed"],
        repeated=figures["repeated"],
        key=tuple(key or ()),
        largest=tuple(map(tuple, figures["largest"])),
        examples=tuple(map(tuple, figures["examples"])),
    )


def copies(table: str, figures: dict[str, Any]) -> NearCopies:
    return NearCopies(
        table=table,
        rows=figures["rows"],
        clusters=figures["clusters"],
        compared=figures["pairs_compared"],
        near=figures["edges"],
        threshold=figures["threshold"],
        largest=tuple((str(name), rows) for name, rows in figures["largest"]),
        examples=tuple((s, one, other) for s, one, other in figures.get("examples", ())),
        joined=figures.get("pairs_joined", 0),
        precision=figures.get("precision"),
        changes=tuple((what, figures[name]) for name, what in _CHANGES.items() if name in figures),
    )


def fuzzy(table: str, figures: dict[str, Any]) -> FuzzyMatches:
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


def champion(left: Left) -> Champion:
    metrics = left.metrics
    return Champion(
        table=left.table,
        evaluation=left.data["config"]["evaluation"],
        model=metrics["best"],
        version=metrics["version"],
        why=metrics["why"],
        promoted=metrics["promoted"],
        challenge=metrics.get("challenge", ""),
    )


def outliers(table: str, figures: dict[str, Any]) -> StrangeRows:
    return StrangeRows(
        table=table,
        rows=figures["rows"],
        features=figures["features"],
        methods=tuple(figures["methods"]),
        top=tuple((row["row"], row["score"], tuple(row["reasons"])) for row in figures["top"]),
        roc_auc=figures.get("roc_auc"),
    )


def clusters(table: str, figures: dict[str, Any]) -> Clusters:
    choice = figures.get("choice", {})
    return Clusters(
        table=table,
        rows=figures["rows"],
        inertia=figures["inertia"],
        profiles=tuple((p["size"], p["share"], p["text"]) for p in figures["profiles"]),
        features=tuple(figures["features"]),
        means=tuple(map(tuple, figures["means"])),
        choice=tuple(
            (tried["k"], tried["inertia"], tried["silhouette"], tried["stability"])
            for tried in choice.get("tried", [])
        ),
        elbow=choice.get("elbow"),
        chosen=choice.get("suggested"),
    )


def searched(stage: str, figures: dict[str, Any]) -> Searched:
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
            for trial in figures["trials"][:MAX_CANDIDATES]
        ),
        tried=figures["tried"],
        failed=figures["failed"],
        seconds=figures["seconds"],
    )


def leakage(left: Left) -> Leakage:
    metrics = left.metrics
    return Leakage(
        table=left.data["config"]["input"],
        train=metrics["train"],
        test=metrics["test"],
        findings=tuple((found["check"], found["text"]) for found in metrics["leakage"]),
    )


def history(epochs: list[dict[str, Any]]) -> dict[str, tuple[float, ...]]:
    shown = [name for name in epochs[0] if "loss" in name or "auc" in name] if epochs else []
    return {name: tuple(float(epoch[name]) for epoch in epochs) for name in shown}


def predictions(left: Left) -> Predictions:
    metrics = left.metrics
    return Predictions(
        stage=left.name,
        table=left.table,
        version=left.commit.version,
        rows=metrics["rows"],
        model=metrics["model"],
        scores=Histogram(**{name: tuple(found) for name, found in metrics["histogram"].items()}),
        task=metrics["task"],
        about=metrics["where"],
        positives=metrics.get("positives"),
        threshold=metrics.get("threshold"),
    )
