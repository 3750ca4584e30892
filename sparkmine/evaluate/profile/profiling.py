"""Ask, and make a profile of the answers."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import PurePath
from typing import TYPE_CHECKING

import numpy as np

from sparkmine.errors import ConfigError
from sparkmine.evaluate.profile.asking import Answered, Answers, Column, ask, kind_of
from sparkmine.evaluate.profile.data import ColumnProfile, Correlations, Finding, Profile
from sparkmine.evaluate.profile.drift import drift
from sparkmine.evaluate.profile.facts import distribution, top_values
from sparkmine.evaluate.profile.findings import findings, ordered, pairs
from sparkmine.lake import Snapshot
from sparkmine.recipe.columns import columns_of
from sparkmine.recipe.recipe import session_of
from sparkmine.stats import StatEngine

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType


def profile(
    source: Snapshot | DataFrame,
    *,
    against: Snapshot | DataFrame | None = None,
    name: str | None = None,
    columns: Sequence[str] | None = None,
    spark: SparkSession | None = None,
    now: datetime.datetime | None = None,
) -> Profile:
    """What is in a table: types, gaps, values, distributions, correlations, keys, and doubts.

    One scan of the source, and one of `against`. Where more than 0.5 % of a column's values lie
    within 0.025 % of each other, that column alone is read again, in finer bins.

    Args:
        source: A snapshot or any DataFrame.
        against: An earlier version; the profile tells how the columns moved since.
        name: Of the table, for the page; by default the last part of a snapshot's path.
        columns: Look at these only; counts of distinct values cost a shuffle for every column.
        spark: The session; the active one by default.
        now: Times after it are in the future; by default this moment.

    Raises:
        ConfigError: a column that is not there, or none at all.
    """
    moment = now or datetime.datetime.now(datetime.UTC)
    session = session_of(source, spark)
    asked = _columns(source.schema, columns)
    answered = ask(StatEngine(source, session), asked, moment)
    rows = max((one.missing.rows for one in answered.columns.values()), default=0)
    found = [_column(column, answered.columns[column.name]) for column in asked]
    correlations = _correlations(answered)
    doubts: list[Finding] = [one for column in found for one in column.findings]
    doubts += pairs(correlations) if correlations else []
    moved, scans = None, answered.scans
    if against is not None:
        wanted = None if columns is None else [c for c in columns if c in against.schema.names]
        before = _columns(against.schema, wanted)
        old = ask(StatEngine(against, session), before, moment)
        moved = drift(
            answered,
            asked,
            old,
            before,
            version=against.version if isinstance(against, Snapshot) else None,
            rows=max((one.missing.rows for one in old.columns.values()), default=0),
        )
        scans += old.scans
    pinned = source if isinstance(source, Snapshot) else None
    return Profile(
        name=name or ("DataFrame" if pinned is None else PurePath(pinned.path).name),
        rows=rows,
        columns=tuple(found),
        version=None if pinned is None else pinned.version,
        bytes=None if pinned is None else sum(file.size for file in pinned.files),
        correlations=correlations,
        findings=ordered(doubts),
        drift=moved,
        scans=scans,
        made=moment.astimezone(datetime.UTC).isoformat(sep=" ", timespec="seconds"),
    )


def _columns(schema: StructType, wanted: Sequence[str] | None) -> list[Column]:
    """What is asked about; kinds by the types alone, whatever a recipe noted."""
    from pyspark.sql import types as t

    absent = [name for name in wanted or () if name not in schema.names]
    if absent:
        raise ConfigError(f"the table has no column {absent[0]!r}; it has {schema.names}")
    fields = [f for f in schema.fields if wanted is None or f.name in wanted]
    if not fields:
        raise ConfigError("there is no column to profile")
    plain = t.StructType([t.StructField(field.name, field.dataType) for field in fields])
    return [
        Column(
            name=field.name,
            type=field.dataType.simpleString(),
            kind=kind_of(info.kind),
            floating=isinstance(field.dataType, t.FloatType | t.DoubleType),
        )
        for field, info in zip(fields, columns_of(plain), strict=True)
    ]


def _column(column: Column, answers: Answers) -> ColumnProfile:
    counts, moments = answers.counts, answers.moments
    found = distribution(column, answers)
    rows = answers.missing.rows
    number = column.kind == "number" and moments is not None
    made = ColumnProfile(
        name=column.name,
        type=column.type,
        kind=column.kind,
        missing=answers.missing.missing,
        missing_share=answers.missing.share,
        nans=moments.nans if number and moments else 0,
        infinities=moments.infinities if number and moments else 0,
        distinct=None if counts is None else counts.distinct,
        top=top_values(counts, rows),
        values=None if column.kind == "text" else found,
        lengths=found if column.kind == "text" else None,
        # Doubles that differ are measurements, not names of rows.
        key=counts is not None and rows > 1 and counts.distinct == rows and not column.floating,
    )
    return replace(made, findings=findings(column, answers, made))


def _correlations(answered: Answered) -> Correlations | None:
    if answered.pairs is None:
        return None
    matrix: np.ndarray = answered.pairs.correlation
    return Correlations(
        columns=answered.correlated,
        matrix=tuple(
            tuple(None if math.isnan(value) else float(value) for value in row)
            for row in matrix.tolist()
        ),
    )
