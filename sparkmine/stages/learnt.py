"""What the models behind a table of scores learnt from, as the commits tell that made them.

A model stage says its input and its training rows; an ensemble the tables of its members' scores,
which are followed down to the models.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from sparkmine.errors import ConfigError, DataError, SparkmineError
from sparkmine.expr import parse
from sparkmine.lake import Lake, Snapshot
from sparkmine.lake.log import Commit
from sparkmine.lake.scan import DirectScanRefused, Scan
from sparkmine.stages.base import Context


@dataclass(frozen=True, kw_only=True)
class Learnt:
    """What one stage has fitted a model to.

    Fields:
        table, version: What it read.
        conditions: By the key of the stage's block, the rows that it learnt from.
        score: The rows that it scored; None for all.
        data: Whether the table is no table of other models' scores.
    """

    stage: str
    table: str
    version: int
    conditions: tuple[tuple[str, str], ...]
    score: str | None
    data: bool = True


def learnt(lake: Lake, commit: Commit) -> Iterator[Learnt]:
    """The models whose scores a commit is of; none of a commit that no such stage has made.

    Members whose commits are gone are left out.
    """
    data = commit.metadata or {}
    config: Mapping[str, Any] = data.get("config", {})
    if data.get("kind") == "ensemble":
        members = list(config["members"].values())
        if config.get("choose_on"):  # by which its members' weights were found
            yield Learnt(
                stage=data["stage"],
                table=members[0],
                version=data["read"][members[0]],
                conditions=(("choose_on", config["choose_on"]),),
                score=None,
                data=False,
            )
        for table in members:
            try:
                below = lake.table(table).commit(data["followed"][table])
            except (KeyError, SparkmineError):
                continue
            yield from learnt(lake, below)
    elif "train" in config and "input" in config:
        blocks = {key: config.get(key) for key in ("calibration", "costs")}
        held = [(f"{key}.where", block["where"]) for key, block in blocks.items() if block]
        if config.get("early_stopping") and config.get("validation"):
            held.append(("validation", config["validation"]))
        yield Learnt(
            stage=data["stage"],
            table=config["input"],
            version=data["read"][config["input"]],
            conditions=(("train", config["train"]), *held),
            score=config.get("score"),
        )


def check_unseen(context: Context, tables: Mapping[str, str], where: str) -> None:
    """Raise ConfigError if a model learnt from rows that it is measured on.

    Models have scored the same rows, so these are the rows of the first table. A condition on
    columns that are no keys of it is put to what the model read; where that does not tell either
    (its version is gone, or `where` is about scores), nothing is said.

    Args:
        tables: The models' scores, by their names.
        where: The rows that are measured.
    """
    scores = context.inputs[next(iter(tables.values()))]
    counts: dict[tuple[Any, ...], int] = {}
    for name, table in tables.items():
        for one in learnt(context.lake, context.commits[table]):
            for key, condition in one.conditions:
                rows = _narrowed(scores, where, condition)
                place: tuple[Any, ...] = (condition,)
                if rows is None:
                    place = (condition, one.table, one.version, one.score)
                    if place not in counts:
                        rows = _narrowed(_read(context.lake, one), one.score, where, condition)
                if place not in counts:
                    counts[place] = 0 if rows is None else counted(context, rows)
                if counts[place]:
                    raise ConfigError(
                        f"stage {context.stage}: {name} learnt from {counts[place]:,} of the rows "
                        f"that it is measured on ({where}): {key} of stage {one.stage} is "
                        f"{condition}; measure on rows that no model has seen, or change {key}"
                    )


def counted(context: Context, rows: Snapshot, most: int | None = None) -> int:
    """How many rows there are; with `most`, so many are enough, and the rest is not read."""
    try:
        scan, count = Scan.of(rows, []), 0
        for block in scan.blocks():
            count += scan.count(block)
            if most is not None and count >= most:
                break
        return count
    except DirectScanRefused:
        frame = rows.dataframe(context.spark)
        return (frame if most is None else frame.limit(most)).count()


def check_some(context: Context, table: str, key: str, condition: str | None) -> None:
    """Raise DataError if the condition of a key takes no row of a table that the stage reads."""
    if condition is not None and not counted(context, context.rows(table, condition), most=1):
        raise DataError(f"stage {context.stage}: no row of {table} has {key}: {condition}")


def _read(lake: Lake, one: Learnt) -> Snapshot | None:
    try:
        return lake.table(one.table).snapshot(one.version)
    except SparkmineError:
        return None


def _narrowed(rows: Snapshot | None, *conditions: str | None) -> Snapshot | None:
    """The rows for which all conditions are true; None where a column is missing."""
    for condition in conditions:
        if rows is None or condition is None:
            continue
        if not parse(condition).columns <= set(rows.schema.names):
            return None
        rows = rows.where(condition)
    return rows
