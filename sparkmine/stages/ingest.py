"""ingest: a source with a declared schema into a raw Delta table."""

from __future__ import annotations

import glob
import importlib.util
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from sparkmine.clean.quarantine import decide
from sparkmine.clean.reading import PATH, TEXT_FORMATS, good_rows, read_source, same_columns
from sparkmine.errors import ConfigError, SourceEmptyError, SourceMissingError
from sparkmine.stages.base import Block, Context, Result, Stage, TableName

# What reads text without losing a value, and is not for a pipeline to change.
_OWN_OPTIONS = {
    *("header", "mode", "enforceSchema", "inferSchema", "columnNameOfCorruptRecord"),
    *("primitivesAsString", "multiLine"),
}


class Source(Block):
    """Where the rows come from.

    Attributes:
        format: `csv` (with a header), `json` (one object a line), `parquet` or `delta`.
        path: File, folder or glob, relative to the YAML file; a URI; or `package:NAME/FILE` for a
            file that a Python package ships.
        options: Options of Spark's reader, such as `sep`.
    """

    format: Literal["csv", "json", "parquet", "delta"]
    path: str
    options: Mapping[str, str] = {}


class Ingest(Stage):
    """Read a source into `table`; values that do not cast are quarantined, never nulled."""

    kind: ClassVar[str] = "ingest"
    stage: Literal["ingest"]
    source: Source
    columns: Mapping[str, str] = Field(min_length=1)
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
        remote = "://" in self.source.path.removeprefix("file://")
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
        if not self.always and not glob.glob(self._path(base)):
            raise SourceMissingError(
                f"stage {self.name}: source {self._path(base)} does not exist; correct source.path"
            )

    def run(self, context: Context) -> Result:
        path = self._path(context.base)
        df = read_source(context.spark, path, self.source.format, self.columns, self.source.options)
        if self.source.format not in TEXT_FORMATS:
            # Types are checked as a whole, so no row can be bad; the files' footers have the count.
            rows = df.count()
            if not rows:
                raise SourceEmptyError(f"stage {self.name}: source {path} has no rows")
            return Result(
                frame=good_rows(df, self.columns),
                rows_in=rows,
                quarantined=0,
                removed=0,
                accounted=True,
            )
        with same_columns(path):
            tally = context.quarantine(df, self.sides[0], PATH)
        if not tally.rows:
            raise SourceEmptyError(f"stage {self.name}: source {path} has no rows")
        decide(tally, self.max_bad_fraction, self.name, self.sides[0])
        return Result(
            frame=good_rows(df, self.columns),
            rows_in=tally.rows,
            quarantined=tally.quarantined,
            removed=0,
            accounted=True,
            metrics={"reasons": tally.reasons},
            sides={self.sides[0]: tally.version},
        )

    def _path(self, base: Path) -> str:
        path = self.source.path.removeprefix("file://")
        if path.startswith("package:"):
            return _package_file(path.removeprefix("package:"), self.name)
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
