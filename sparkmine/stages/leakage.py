"""leakage: what the training rows know of the test rows, or of the answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict
from typing import ClassVar, Literal

import pyarrow as pa
from pydantic import Field

from sparkmine.errors import LeakageError
from sparkmine.stages.base import (
    Condition,
    Context,
    FeatureSelector,
    Names,
    Result,
    Stage,
    TableName,
)
from sparkmine.stages.features import feature_columns
from sparkmine.stages.needs import Need, asked, named

SCHEMA = pa.schema(
    [
        ("check", pa.string()),
        ("column", pa.string()),
        ("rows", pa.int64()),
        ("share", pa.float64()),
        ("text", pa.string()),
    ]
)


class Leakage(Stage):
    """Look for leakage between the rows of `train` and of `test`; one row a finding.

    Attributes:
        features: What the model learns from, a selector; all numbers, buckets, one-hot columns and
            arrays of the table when left out, as for models.
        keys: Columns that name a row.
        time, horizon_days: A row's time, and how far its label reaches ahead of it.
        text: A column of texts whose near copies are looked for.
        max_shared: Share of the test rows that may have an equal or near training row.
        near: Up to which difference rows are near, in standard deviations; 0: equal ones only.
        on_finding: Whether a finding is a line of the report, or ends the pipeline.
    """

    kind: ClassVar[str] = "leakage"
    stage: Literal["leakage"]
    input: TableName
    train: Condition
    test: Condition
    label: str
    features: FeatureSelector | None = None
    keys: Names = Field(default=[])
    time: str | None = None
    horizon_days: float = Field(default=0.0, ge=0.0, strict=False)
    text: str | None = None
    max_shared: float = Field(default=0.01, ge=0.0, le=1.0, strict=False)
    near: float = Field(default=1e-6, ge=0.0, strict=False)
    on_finding: Literal["warn", "fail"] = "warn"
    table: TableName

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def needs(self) -> Iterable[Need]:
        yield named("keys", self.input, *self.keys)
        yield named("label", self.input, self.label)
        yield named("time", self.input, self.time)
        yield named("text", self.input, self.text)
        yield asked("train", self.input, self.train)
        yield asked("test", self.input, self.test)

    def run(self, context: Context) -> Result:
        from sparkmine.evaluate.leakage import check_leakage

        findings = check_leakage(
            context.frame(self.input, self.train),
            context.frame(self.input, self.test),
            feature_columns(context, self.input, self.features, [*self.keys, self.label]),
            self.label,
            keys=self.keys,
            time=self.time,
            horizon_days=self.horizon_days,
            text=self.text,
            max_shared=self.max_shared,
            near=self.near,
        )
        if findings and self.on_finding == "fail":
            says = "; ".join(finding.text for finding in findings)
            raise LeakageError(f"stage {self.name}: {says}")
        rows = [asdict(finding) for finding in findings]
        return Result(
            frame=context.spark.createDataFrame(pa.Table.from_pylist(rows, SCHEMA)),
            metrics={"leakage": rows, "test": self.test, "train": self.train},
        )
