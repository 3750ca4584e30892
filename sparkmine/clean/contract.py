"""The data contract: what a table's rows, columns and the table as a whole must be.

A frozen value, made in Python or from the YAML of a `clean` stage. `check` applies it to a
DataFrame. Row rules become expressions of one pass (`rules.py`); uniqueness and keys into other
tables become columns that joins add to the rows (`keys.py`); limits of the whole table are decided
from the counts of the first scan (`table_rules.py`, `drift.py`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sparkmine.clean import validation
from sparkmine.clean.checked import Checked
from sparkmine.clean.rules import (
    DROP,
    FAIL,
    QUARANTINE,
    WARN,
    Check,
    column_checks,
    expression_check,
)
from sparkmine.clean.typed import fitted, sources
from sparkmine.errors import ConfigError, SourceColumnsError
from sparkmine.expr import Expr, Scalar, parse
from sparkmine.lake import Snapshot
from sparkmine.lake.inputs import as_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from sparkmine.clean.validation import Validation

SEVERITIES = (QUARANTINE, DROP, WARN, FAIL)


@dataclass(frozen=True, kw_only=True)
class Key:
    """Where the allowed values of a key are: columns of another table."""

    table: str
    columns: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ColumnRule:
    """What the values of one column must be. Null passes all but `not_null`.

    Attributes:
        type: `double`, `long`, `decimal(p,s)`, `string`, `boolean`, `date` or `timestamp`. The
            value must fit into it (`typed.py`), all other rules see it as such, and the clean
            table's column is of that type.
        minimum, maximum: Limits, themselves allowed. NaN is larger than every number.
        min_length, max_length: Limits of the text's length, in characters.
        pattern: Regular expression that the whole text matches (`expr/pattern.py` says which).
        allowed: The values that there may be.
        in_table: A column of another table that holds the values that there may be.
        unique: No value occurs twice; all rows that share one break the rule.
        max_null_fraction: Largest share of nulls and NaN, 0 to 1, of the whole table.
        max_age_days: The newest value is at most so many days older than the run's date.
        max_psi: Largest population stability index against the earlier version of the clean table.
        severity: What happens to a row that breaks a rule; `Contract` says which there are.
        name: The rules' name among the reasons, instead of what they check.
    """

    type: str | None = None
    not_null: bool = False
    minimum: Scalar = None
    maximum: Scalar = None
    min_length: int | None = None
    max_length: int | None = None
    pattern: str | None = None
    allowed: Sequence[Scalar] | None = None
    in_table: Key | None = None
    unique: bool = False
    max_null_fraction: float | None = None
    max_age_days: float | None = None
    max_psi: float | None = None
    severity: str = QUARANTINE
    name: str | None = None


@dataclass(frozen=True, kw_only=True)
class Condition:
    """An SQL condition over any columns; unknown (null) passes."""

    holds: str
    severity: str = QUARANTINE


@dataclass(frozen=True, kw_only=True)
class Unique:
    """No two rows agree in all `columns`. A row with a null among them is not compared."""

    columns: tuple[str, ...]
    severity: str = QUARANTINE


@dataclass(frozen=True, kw_only=True)
class Reference:
    """The values of `columns` together are a row of the columns `key` of another table."""

    columns: tuple[str, ...]
    key: Key
    severity: str = QUARANTINE


@dataclass(frozen=True, kw_only=True)
class Contract:
    """What a table must be.

    Severities: `quarantine` keeps the row apart with its reasons; `drop` removes and counts it;
    `warn` counts it; `fail` quarantines it and fails the stage. Of a row that breaks several, the
    strongest decides: fail, quarantine, drop, warn. Rules of the whole table fail, or warn.

    Attributes:
        columns: Rules by column.
        conditions, unique, references: Rules over several columns, by the name that is the reason.
        min_rows, max_rows: Limits of the number of rows that come in.
        max_bad_fraction: Largest share of rows in quarantine.
        allow_new_columns: False refuses columns that `columns` does not name.
    """

    columns: Mapping[str, ColumnRule] = field(default_factory=dict)
    conditions: Mapping[str, Condition] = field(default_factory=dict)
    unique: Mapping[str, Unique] = field(default_factory=dict)
    references: Mapping[str, Reference] = field(default_factory=dict)
    min_rows: int | None = None
    max_rows: int | None = None
    max_bad_fraction: float = 0.05
    allow_new_columns: bool = True

    def __post_init__(self) -> None:
        parts = (self.columns, self.conditions, self.unique, self.references)
        for name, rule in ((name, rule) for part in parts for name, rule in part.items()):
            if rule.severity not in SEVERITIES:
                raise ConfigError(
                    f"rule {name!r}: severity {rule.severity!r} is not one of {SEVERITIES}"
                )
        for name, reference in self.all_references.items():
            if len(reference.columns) != len(reference.key.columns):
                raise ConfigError(f"rule {name!r}: it has not as many columns as its key")

    @property
    def tables(self) -> list[str]:
        """The other tables that the contract reads."""
        return sorted({reference.key.table for reference in self.all_references.values()})

    @property
    def all_unique(self) -> dict[str, Unique]:
        """All rules of uniqueness, by reason."""
        single = {
            rule.name or f"unique {column}": Unique(columns=(column,), severity=rule.severity)
            for column, rule in self.columns.items()
            if rule.unique
        }
        return {**single, **self.unique}

    @property
    def all_references(self) -> dict[str, Reference]:
        """All keys into other tables, by reason."""
        single = {
            rule.name or f"{column} in {rule.in_table.table}": Reference(
                columns=(column,), key=rule.in_table, severity=rule.severity
            )
            for column, rule in self.columns.items()
            if rule.in_table is not None
        }
        return {**single, **self.references}

    def typed(self, schema: StructType | None = None) -> dict[str, Expr]:
        """The columns that have a type, as values of it; see `checks`."""
        kinds = sources(schema)
        return {
            name: fitted(name, rule.type, kinds.get(name, "string"))
            for name, rule in self.columns.items()
            if rule.type is not None
        }

    def checks(self, schema: StructType | None = None) -> list[Check]:
        """The rules that a row can be asked by itself.

        Args:
            schema: That of the rows, by which it is known whether a cast may lose something; a
                column that is not in it is text.
        """
        kinds, typed = sources(schema), self.typed(schema)
        found = [
            replace(check, severity=rule.severity, rule=rule.name or check.rule)
            for column, rule in self.columns.items()
            for check in column_checks(
                column,
                type_name=rule.type,
                source=kinds.get(column, "string"),
                not_null=rule.not_null,
                minimum=rule.minimum,
                maximum=rule.maximum,
                min_length=rule.min_length,
                max_length=rule.max_length,
                pattern=rule.pattern,
                allowed=rule.allowed,
            )
        ]
        conditions = self.conditions.items()
        return found + [
            replace(expression_check(name, rule.holds, typed), severity=rule.severity)
            for name, rule in conditions
        ]

    def check(
        self,
        df: DataFrame,
        tables: Mapping[str, DataFrame | Snapshot] | None = None,
        *,
        columns: Sequence[str] | None = None,
        beside: DataFrame | None = None,
    ) -> Checked:
        """The rows of `df` with what they break.

        Args:
            df: The rows. Rules of uniqueness scan their columns once, here.
            tables: The other tables by name (`self.tables`). Of a snapshot the rows are known, so a
                small one is sent to all executors.
            columns: The row's columns; all of `df` if None.
            beside: Rows that are in the clean table already: a key that one of them has is taken.

        Raises:
            ConfigError: a rule reads a column or a table that is not there.
            SourceColumnsError: new columns, where they are not allowed.
        """
        from sparkmine.clean import keys

        names = list(columns or df.columns)
        self._check_columns(names)
        checks, typed = self.checks(df.schema), self.typed(df.schema)
        taken = None if beside is None else (beside, self.typed(beside.schema))
        for number, (name, unique) in enumerate(self.all_unique.items()):
            df, check = keys.unique(df, name, unique.columns, number, typed, taken)
            if check is not None:
                checks.append(replace(check, severity=unique.severity))
        for number, (name, reference) in enumerate(self.all_references.items()):
            table = (tables or {}).get(reference.key.table)
            if table is None:
                raise ConfigError(f"rule {name!r} reads table {reference.key.table!r}; pass it")
            key = reference.key.columns
            df, check = keys.referenced(df, name, reference.columns, table, key, number, typed)
            checks.append(replace(check, severity=reference.severity))
        return Checked(rows=df, columns=tuple(names), checks=tuple(checks), typed=typed)

    def validate(
        self,
        data: DataFrame | Snapshot,
        tables: Mapping[str, DataFrame | Snapshot] | None = None,
        *,
        spark: SparkSession | None = None,
    ) -> Validation:
        """How many rows break each rule; nothing is written, and one scan is made of it.

        It asks the rules of rows. Those of the whole table, which compare with a date or an
        earlier version, are a stage's.

        Args:
            data: The rows. A snapshot is read straight from its files where that can be.
            tables: As for `check`.
            spark: The session for a snapshot; the active one if None.

        Raises:
            ConfigError, SourceColumnsError: as `check` does.
        """
        frame = as_frame(data, spark)
        checks = self.checks(frame.schema)
        if isinstance(data, Snapshot) and checks and not (self.all_unique or self.all_references):
            self._check_columns(frame.columns)
            found = validation.of_snapshot(data, checks, frame.sparkSession)
            if found is not None:
                return found
        return validation.of_rows(self.check(frame, tables))

    def _check_columns(self, names: list[str]) -> None:
        known = set(names)
        needed = [(name, {name}) for name in self.columns]
        needed += [(name, set(unique.columns)) for name, unique in self.all_unique.items()]
        needed += [(name, set(other.columns)) for name, other in self.all_references.items()]
        needed += [(name, set(parse(rule.holds).columns)) for name, rule in self.conditions.items()]
        for name, columns in needed:
            missing = sorted(columns - known)
            if missing:
                raise ConfigError(
                    f"rule {name!r} reads column {missing[0]!r}; the table has {names}"
                )
        new = sorted(known - set(self.columns))
        if new and not self.allow_new_columns:
            raise SourceColumnsError(
                f"the table has columns that the contract does not name: {new}; declare them, or "
                "set allow_new_columns"
            )
