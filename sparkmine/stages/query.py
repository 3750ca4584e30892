"""query: one Spark SQL file over pinned tables."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from sparkmine.errors import ConfigError, DataError, SourceMissingError
from sparkmine.stages.base import Context, Result, Stage, TableName

Setting = str | int | float | bool


class Query(Stage):
    """Run one SELECT. `inputs` names the views that the SQL reads and the table behind each.

    `settings` replace `${name}` in the SQL text.
    """

    kind: ClassVar[str] = "query"
    stage: Literal["query"]
    sql: str
    inputs: Mapping[str, TableName] = Field(min_length=1)
    settings: Mapping[str, Setting] = {}
    table: TableName

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {f"inputs.{view}": table for view, table in self.inputs.items()}

    def files(self, base: Path) -> list[Path]:
        return [base / self.sql]

    def check(self, base: Path) -> None:
        if not (base / self.sql).is_file():
            raise SourceMissingError(
                f"stage {self.name}: SQL file {base / self.sql} does not exist"
            )
        for view in self.inputs:
            if not re.fullmatch(r"[a-z_][a-z0-9_]*", view):
                raise ConfigError(f"stage {self.name}: inputs.{view} is no name for a view")
        self._text(base)

    def run(self, context: Context) -> Result:
        from pyspark.errors import AnalysisException

        views = {view: context.frame(table) for view, table in self.inputs.items()}
        for view, frame in views.items():
            frame.createOrReplaceTempView(view)
        try:
            frame = context.spark.sql(self._text(context.base))
        except AnalysisException as error:
            # What follows its first line is Spark's plan.
            first = next((line for line in str(error).splitlines() if line.strip()), "")
            raise ConfigError(f"stage {self.name}: {self.sql}: {first.rstrip(';')}") from error
        finally:
            # The analysed query holds the pinned tables; the names must not leak to other stages.
            for view in views:
                context.spark.catalog.dropTempView(view)
        if not frame.columns:
            raise DataError(f"stage {self.name}: {self.sql} returns no columns")
        return Result(frame=frame, rows_in=None)

    def _text(self, base: Path) -> str:
        text = (base / self.sql).read_text(encoding="utf-8").strip().rstrip(";")

        def setting(match: re.Match[str]) -> str:
            if match.group(1) not in self.settings:
                raise ConfigError(
                    f"stage {self.name}: {self.sql} uses ${{{match.group(1)}}}, which `settings:` "
                    f"lacks; it has {sorted(self.settings)}"
                )
            return str(self.settings[match.group(1)])

        return re.sub(r"\$\{(\w+)\}", setting, text)
