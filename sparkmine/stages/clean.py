"""clean: repairs and a contract; bad rows to quarantine, good rows to the clean table."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

from pydantic import AfterValidator, BeforeValidator, Field, ValidationInfo, field_validator

from sparkmine.clean import contract as contracts
from sparkmine.clean.again import judged_again, returned
from sparkmine.clean.checked import Checked
from sparkmine.clean.contract import Contract
from sparkmine.clean.drift import Bins, earlier_bins
from sparkmine.clean.quarantine import Tally, decide
from sparkmine.clean.reading import source_column
from sparkmine.clean.repair import ForwardFill, Repair, Repaired, repaired
from sparkmine.clean.rules import DROP, FAIL, QUARANTINE, WARN, broken
from sparkmine.clean.table_rules import findings, measured, measures, refuse
from sparkmine.errors import ExpressionError
from sparkmine.expr import to_column
from sparkmine.expr.columns import quoted
from sparkmine.expr.nodes import CASTS
from sparkmine.expr.pattern import shared
from sparkmine.lake import Lake, Snapshot
from sparkmine.stages.base import Block, Condition, Context, Names, Result, Stage, TableName

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

Constant = bool | int | float | str
Severity = Literal["quarantine", "drop", "warn", "fail"]
Share = Annotated[float, Field(ge=0.0, le=1.0, strict=False)]
Length = Annotated[int, Field(ge=0)]


def _type(value: str) -> str:
    found = re.fullmatch(r"decimal\((\d+),\s*(\d+)\)", value)
    if found and 0 < int(found[1]) <= 38 and int(found[2]) <= int(found[1]):
        return f"decimal({found[1]},{found[2]})"
    if value in CASTS:
        return value
    raise ValueError(f"there is no type {value!r}; there are {', '.join(CASTS)}, decimal(p,s)")


class InTable(Block):
    """The values of a column of another table."""

    table: TableName
    column: str


class ColumnBlock(Block):
    """What the values of one column must be (`clean.contract.ColumnRule`)."""

    type: Annotated[str, AfterValidator(_type)] | None = None
    not_null: bool = False
    minimum: Constant | None = None
    maximum: Constant | None = None
    min_length: Length | None = None
    max_length: Length | None = None
    pattern: str | None = None
    allowed: Annotated[list[Constant], Field(min_length=1)] | None = None
    in_table: InTable | None = None
    unique: bool = False
    max_null_fraction: Share | None = None
    max_age_days: Annotated[float, Field(ge=0.0, strict=False)] | None = None
    max_psi: Annotated[float, Field(gt=0.0, strict=False)] | None = None
    severity: Severity = "quarantine"
    name: str | None = None

    @field_validator("pattern")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        try:
            shared(value or "")
        except ExpressionError as error:
            raise ValueError(str(error)) from None
        return value


class ConditionBlock(Block):
    """A condition over any columns; in short, its text alone."""

    holds: Condition
    severity: Severity = "quarantine"


class UniqueBlock(Block):
    """Columns in which no two rows agree; in short, the columns alone."""

    columns: Annotated[Names, Field(min_length=1)]
    severity: Severity = "quarantine"


class ReferenceBlock(Block):
    """Columns that together are a key of another table."""

    columns: Annotated[Names, Field(min_length=1)]
    table: TableName
    key: Annotated[Names, Field(min_length=1)]
    severity: Severity = "quarantine"

    @field_validator("key")
    @classmethod
    def _as_many(cls, value: list[str], info: ValidationInfo) -> list[str]:
        if len(value) != len(info.data.get("columns", value)):
            raise ValueError("the key has not as many columns as `columns`")
        return value


class RowsBlock(Block):
    """How many rows come in."""

    minimum: Length | None = None
    maximum: Length | None = None


class FillBlock(Block):
    """Fill missing values forward."""

    within: Names
    order_by: Annotated[Names, Field(min_length=1)]


class RepairBlock(Block):
    """The repairs of one column (`clean.repair.Repair`)."""

    text: list[Literal["nfkc", "control", "spaces", "lower", "upper"]] = Field(default=[])
    categories: Mapping[str, str] = {}
    fill: FillBlock | None = None


def _keyed(key: str) -> Any:
    """A block may be written as the value of its main key alone."""
    return BeforeValidator(lambda value: value if isinstance(value, dict) else {key: value})


class Clean(Stage):
    """Keep the rows of `input` that keep the contract; in = kept + quarantined + removed."""

    kind: ClassVar[str] = "clean"
    stage: Literal["clean"]
    input: TableName
    table: TableName
    repair: Mapping[str, RepairBlock] = {}
    columns: Mapping[str, ColumnBlock] = {}
    conditions: Mapping[str, Annotated[ConditionBlock, _keyed("holds")]] = {}
    unique: Mapping[str, Annotated[UniqueBlock, _keyed("columns")]] = {}
    references: Mapping[str, ReferenceBlock] = {}
    rows: RowsBlock = RowsBlock()
    max_bad_fraction: Share = 0.05
    allow_new_columns: bool = True
    earlier_version: Annotated[int, Field(ge=0)] | None = None

    @property
    def writes(self) -> str:
        return self.table

    @property
    def sides(self) -> tuple[str, ...]:
        return (f"quarantine/{self.name}",)

    @property
    def reads(self) -> dict[str, str]:
        found = {"input": self.input}
        for column, rule in self.columns.items():
            if rule.in_table is not None:
                found[f"columns.{column}.in_table.table"] = rule.in_table.table
        for name, reference in self.references.items():
            found[f"references.{name}.table"] = reference.table
        return found

    @property
    def within_scope(self) -> bool:
        return True

    def contract(self) -> Contract:
        """The block's rules."""
        return Contract(
            columns={name: _column(block) for name, block in self.columns.items()},
            conditions={
                n: contracts.Condition(holds=c.holds, severity=c.severity)
                for n, c in self.conditions.items()
            },
            unique={
                n: contracts.Unique(columns=tuple(u.columns), severity=u.severity)
                for n, u in self.unique.items()
            },
            references={
                n: contracts.Reference(
                    columns=tuple(r.columns),
                    key=contracts.Key(table=r.table, columns=tuple(r.key)),
                    severity=r.severity,
                )
                for n, r in self.references.items()
            },
            min_rows=self.rows.minimum,
            max_rows=self.rows.maximum,
            max_bad_fraction=self.max_bad_fraction,
            allow_new_columns=self.allow_new_columns,
        )

    def repairs(self) -> dict[str, Repair]:
        """The block's repairs."""
        return {name: _repair(block) for name, block in self.repair.items()}

    def run(self, context: Context) -> Result:
        from pyspark.sql import functions as F

        contract = self.contract()
        mended = repaired(context.frame(self.input, self.output.replace), self.repairs())
        tables = {name: context.inputs[name] for name in contract.tables}
        checked = contract.check(mended.rows, tables, columns=mended.columns)
        earlier = self._earlier(context)
        version = context.inputs[self.input].version
        source = source_column(context.inputs[self.input].schema)
        file = [F.col(quoted(mended.came[source])).cast("string")] if source else []
        kept = ~broken(checked.of(FAIL, QUARANTINE, DROP))
        tally = context.quarantine(
            checked.rows,
            self.sides[0],
            F.coalesce(*file, F.lit(f"{self.input}@{version}")),
            row=mended.came,
            typed={name: to_column(value) for name, value in checked.typed.items()},
            reasons=checked.reasons,
            bad=broken(checked.of(FAIL, QUARANTINE)),
            removed=_removed(checked),
            counting=_counting(checked, mended),
            measures=measures(contract, kept, earlier, checked.typed),
        )
        failing = [f"rule {check.label}" for check in checked.of(FAIL)]
        decide(tally, self.max_bad_fraction, self.name, self.sides[0], failing)
        seen = measured(tally.rows, tally.missing, tally.measures, earlier)
        found, drift = findings(contract, seen, earlier, context.date)
        warnings = refuse(found, self.name)
        return Result(
            frame=checked.kept,
            rows_in=tally.rows,
            quarantined=tally.quarantined,
            removed=tally.removed,
            accounted=True,
            metrics={**_metrics(tally, checked), "drift": drift, "warnings": warnings},
            sides={self.sides[0]: tally.version},
        )

    def again(self, context: Context, rows: DataFrame, beside: DataFrame | None) -> DataFrame:
        """Forward fills are left out: the rows between which these stood are not here."""
        repairs = {n: replace(repair, fill=None) for n, repair in self.repairs().items()}
        schema = context.inputs[self.input].schema
        back = returned(rows, schema)
        mended = repaired(back.rows, repairs, back.columns)
        contract = self.contract() if beside is not None else Contract(columns=self._typed())
        tables = {name: context.inputs[name] for name in contract.tables}
        checked = contract.check(mended.rows, tables, columns=mended.columns, beside=beside)
        return judged_again(checked, back, rows.columns)

    def _typed(self) -> dict[str, contracts.ColumnRule]:
        return {n: contracts.ColumnRule(type=c.type) for n, c in self.columns.items() if c.type}

    def earlier(self, lake: Lake) -> Snapshot | None:
        table = lake.table(self.table)
        if not self._watched or not table.exists():
            return None
        return table.snapshot(self.earlier_version)

    @property
    def _watched(self) -> list[str]:
        """The columns whose drift is limited."""
        return [name for name, block in self.columns.items() if block.max_psi is not None]

    def _earlier(self, context: Context) -> dict[str, Bins]:
        """The bins of the columns whose drift is limited, by the clean table as it was."""
        snapshot = context.inputs.get(self.table)
        if snapshot is None:
            return {}
        there = [name for name in self._watched if name in snapshot.schema.names]
        return earlier_bins(snapshot, there, context.spark)


def _removed(checked: Checked) -> Column | None:
    """The rows that are dropped; None if no rule drops any."""
    dropped = checked.of(DROP)
    return broken(dropped) & ~broken(checked.of(FAIL, QUARANTINE)) if dropped else None


def _counting(checked: Checked, mended: Repaired) -> dict[str, Any]:
    rules = {f"rule {check.label}": broken([check]) for check in checked.of(FAIL, DROP, WARN)}
    return {**rules, **{f"repair {name}": changed for name, changed in mended.changed.items()}}


def _metrics(tally: Tally, checked: Checked) -> dict[str, Any]:
    """What the ledger and the report are told of the rows."""
    rows = max(tally.rows, 1)

    def counted(severity: str) -> dict[str, int]:
        found = {c.label: tally.counts[f"rule {c.label}"] for c in checked.of(severity)}
        return {name: count for name, count in found.items() if count}

    return {
        "reasons": tally.reasons,
        "dropped": counted(DROP),
        "warned": counted(WARN),
        "repairs": {
            name.removeprefix("repair "): count
            for name, count in tally.counts.items()
            if name.startswith("repair ")
        },
        "missing": {name: count / rows for name, count in tally.missing.items()},
    }


def _column(block: ColumnBlock) -> contracts.ColumnRule:
    key = block.in_table
    values = {name: getattr(block, name) for name in ColumnBlock.model_fields}
    values["in_table"] = key and contracts.Key(table=key.table, columns=(key.column,))
    return contracts.ColumnRule(**values)


def _repair(block: RepairBlock) -> Repair:
    fill = None
    if block.fill is not None:
        order_by = tuple(block.fill.order_by)
        fill = ForwardFill(within=tuple(block.fill.within), order_by=order_by)
    return Repair(text=tuple(block.text), categories=block.categories, fill=fill)
