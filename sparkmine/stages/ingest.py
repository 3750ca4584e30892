"""ingest: a source with a declared schema into a raw Delta table."""

from __future__ import annotations

import glob
import importlib.util
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import BeforeValidator, Field

from sparkmine.clean.again import parsed_again
from sparkmine.clean.quarantine import decide
from sparkmine.clean.reading import TEXT_FORMATS, good_rows, read_source
from sparkmine.clean.values import ColumnFormat
from sparkmine.errors import ConfigError, SourceEmptyError, SourceMissingError
from sparkmine.stages.base import Block, Context, Names, Result, Stage, TableName

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# What reads text without losing a value, and is not for a pipeline to change.
_OWN_OPTIONS = {
    *("header", "mode", "enforceSchema", "inferSchema", "columnNameOfCorruptRecord"),
    *("primitivesAsString", "multiLine", "unescapedQuoteHandling", "url", "customSchema"),
}
_ENVIRONMENT = "env:"


class Source(Block):
    """Where the rows come from.

    Attributes:
        format: `csv`, `json` (one object a line), `jdbc`, `parquet` or `delta`.
        path: File, folder or glob, relative to the YAML file; a URI; `package:NAME/FILE` for a file
            that a Python package ships; or the URL of a database, `jdbc:...`.
        header: Of `csv`: `false` where the first line is a row; then `columns` are in the order of
            the file.
        options: Options of Spark's reader, such as `sep`, `quote`, `encoding`, `dbtable`.
            `env:NAME` is the environment variable NAME, and the only way to give a password.
    """

    format: Literal["csv", "json", "jdbc", "parquet", "delta"]
    path: str
    header: bool = True
    options: Mapping[str, str] = {}


class ColumnBlock(Block):
    """How a column is written (`clean.values.ColumnFormat`); in short, its type alone."""

    type: str
    format: Names = Field(default=[])
    zone: str | None = None
    decimal: str = "."
    thousands: str = ""
    true_words: Names = Field(default=[])
    false_words: Names = Field(default=[])

    def column(self) -> ColumnFormat:
        return ColumnFormat(
            type=self.type,
            formats=tuple(self.format),
            zone=self.zone,
            decimal=self.decimal,
            thousands=self.thousands,
            true_words=tuple(self.true_words),
            false_words=tuple(self.false_words),
        )


_Column = Annotated[
    ColumnBlock,
    BeforeValidator(lambda value: {"type": value} if isinstance(value, str) else value),
]


class Ingest(Stage):
    """Read a source into `table`; values that do not cast are quarantined, never nulled."""

    kind: ClassVar[str] = "ingest"
    stage: Literal["ingest"]
    source: Source
    columns: Mapping[str, _Column] = Field(min_length=1)
    allow_new_columns: bool = False
    source_column: Annotated[str, Field(min_length=1)] | None = None
    table: TableName
    max_bad_fraction: float = Field(default=0.05, ge=0.0, le=1.0, strict=False)

    @property
    def writes(self) -> str:
        return self.table

    @property
    def sides(self) -> tuple[str, ...]:
        return (f"quarantine/{self.name}",) if self.source.format in TEXT_FORMATS else ()

    @property
    def reads(self) -> dict[str, str]:
        return {}

    @property
    def always(self) -> str:
        remote = "://" in self.source.path.removeprefix("file://") or self._database
        return "its source is not on this machine, so a change cannot be seen" if remote else ""

    def files(self, base: Path) -> list[Path]:
        if self.always:
            return []
        found = [Path(name) for name in sorted(glob.glob(self._path(base)))]
        return [
            file
            for path in found
            for file in (
                sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
            )
        ]

    def check(self, base: Path) -> None:
        taken = sorted(set(self.source.options) & _OWN_OPTIONS)
        if taken:
            raise ConfigError(f"stage {self.name}: source.options.{taken[0]} cannot be changed")
        if self._database != self.source.path.startswith("jdbc:"):
            raise ConfigError(
                f"stage {self.name}: source.path of format jdbc, and of no other, is jdbc:..."
            )
        if not self.source.header and (self.source.format != "csv" or self.allow_new_columns):
            raise ConfigError(
                f"stage {self.name}: source.header: false is for csv, whose columns are declared "
                "all, without allow_new_columns"
            )
        for name, value in self.source.options.items():
            if name.lower() == "password" and not value.startswith(_ENVIRONMENT):
                # Every commit of the table keeps the stage's block.
                raise ConfigError(
                    f"stage {self.name}: source.options.{name}: put it into an environment "
                    f"variable and write {_ENVIRONMENT}NAME"
                )
        if self.source_column in self.columns:
            raise ConfigError(
                f"stage {self.name}: source_column {self.source_column!r} is among `columns`; name "
                "another"
            )
        self._columns()
        if not self.always and not glob.glob(self._path(base)):
            raise SourceMissingError(
                f"stage {self.name}: source {self._path(base)} does not exist; correct source.path"
            )

    @property
    def _database(self) -> bool:
        return self.source.format == "jdbc"

    def _columns(self) -> dict[str, ColumnFormat]:
        return {name: block.column() for name, block in self.columns.items()}

    def _options(self, base: Path) -> dict[str, str]:
        """The reader's options, with what the environment holds."""
        found = dict(self.source.options)
        for name, value in found.items():
            if name.lower() == "basepath":
                found[name] = _absolute(value, base)
            if value.startswith(_ENVIRONMENT):
                variable = value.removeprefix(_ENVIRONMENT)
                if variable not in os.environ:
                    raise ConfigError(
                        f"stage {self.name}: source.options.{name}: the environment has no "
                        f"variable {variable}"
                    )
                found[name] = os.environ[variable]
        return found

    def run(self, context: Context) -> Result:
        from pyspark.sql import functions as F

        path, columns = self._path(context.base), self._columns()
        skipped: dict[str, int] = {}
        read = read_source(
            context.spark,
            path,
            self.source.format,
            columns,
            self._options(context.base),
            has_header=self.source.header,
            allow_new_columns=self.allow_new_columns,
            skipped=skipped,
        )
        if self.source.format not in TEXT_FORMATS:
            # Types are checked as a whole, so no row can be bad; the files' footers have the count.
            rows = read.rows.count()
            if not rows:
                raise SourceEmptyError(f"stage {self.name}: source {path} has no rows")
            return Result(
                frame=good_rows(read, columns, self.source_column),
                rows_in=rows,
                quarantined=0,
                removed=0,
                accounted=True,
            )
        tally = context.quarantine(
            read.rows,
            self.sides[0],
            read.source,
            row={name: name for name in read.columns},
            reasons=F.col(read.reasons),
            bad=F.size(read.reasons) > 0,
        )
        if not tally.rows:
            raise SourceEmptyError(f"stage {self.name}: source {path} has no rows")
        decide(tally, self.max_bad_fraction, self.name, self.sides[0])
        return Result(
            frame=good_rows(read, columns, self.source_column),
            rows_in=tally.rows,
            quarantined=tally.quarantined,
            removed=0,
            accounted=True,
            metrics={"reasons": tally.reasons, **({"skipped": skipped} if skipped else {})},
            sides={self.sides[0]: tally.version},
        )

    def again(self, context: Context, rows: DataFrame, beside: DataFrame | None) -> DataFrame:
        table = context.lake.table(self.table).snapshot()
        options = self._options(context.base)
        return parsed_again(
            rows,
            self._columns(),
            table.schema.names,
            self.source.format,
            options,
            self.source_column,
        )

    def _path(self, base: Path) -> str:
        path = self.source.path.removeprefix("file://")
        if path.startswith("package:"):
            return _package_file(path.removeprefix("package:"), self.name)
        return path if self._database else _absolute(path, base)


def _absolute(path: str, base: Path) -> str:
    return path if "://" in path or path.startswith("/") else str(base / path)


def _package_file(path: str, stage: str) -> str:
    package, _, file = path.partition("/")
    found = importlib.util.find_spec(package) if package.isidentifier() else None
    if found is None or found.origin is None:
        raise SourceMissingError(
            f"stage {stage}: the Python package {package!r} is not installed; "
            "install the extra that has it, such as sparkmine[demo]"
        )
    if not file:
        raise ConfigError(f"stage {stage}: source.path package:{package} names no file")
    return str(Path(found.origin).parent / file)
