"""What every stage kind is: a typed block of the YAML and a `run(context)`.

A stage reads pinned versions, may write side tables and an artifact folder, and hands back the
rows of its one main table. The pipeline commits that table last, so its commit is the truth.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict

from sparkmine.clean.quarantine import Tally, quarantine
from sparkmine.errors import ConfigError, ExpressionError, RecipeError, SparkmineError
from sparkmine.expr import equalities, parse
from sparkmine.lake import Lake, Snapshot
from sparkmine.lake.log import Commit
from sparkmine.lake.table import LOGS, TABLE_NAME
from sparkmine.recipe import parse_selector
from sparkmine.stages.needs import Need

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

STAGES: dict[str, type[Stage]] = {}


def _table_name(value: str) -> str:
    if not TABLE_NAME.match(value):
        raise ValueError("a table name is lower case words joined by / and _, such as clean/orders")
    return value


def _condition(value: str) -> str:
    try:
        parse(value)
    except ExpressionError as error:
        raise ValueError(str(error)) from None
    return value


def _one_or_more(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _features(value: Any) -> Any:
    """A selector as text; names in a list are selected one by one."""
    try:
        chosen = parse_selector(value)
    except RecipeError as error:
        raise ValueError(error.text) from None
    return value if isinstance(value, str) else str(chosen)


TableName = Annotated[str, AfterValidator(_table_name)]
Condition = Annotated[str, AfterValidator(_condition)]
Names = Annotated[list[str], BeforeValidator(_one_or_more)]
FeatureSelector = Annotated[str, BeforeValidator(_features)]


class Block(BaseModel):
    """Base of all YAML blocks: unknown keys are errors, values are not changed afterwards."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Output(Block):
    """How a stage writes its table.

    Attributes:
        partition_by: Partition columns.
        replace: SQL condition on partition columns; only the rows that match are replaced,
            such as `day = '${date}'`. Without it the whole table is.
    """

    partition_by: Names = []
    replace: Condition | None = None


@dataclass(frozen=True)
class Result:
    """What a stage hands to the pipeline, which commits it.

    Attributes:
        frame: The rows of the main table.
        rows_in: Rows read of the main input.
        quarantined, removed: Rows that are not in `frame`, None where that is not accounted;
            `removed` None with `accounted` is what is left when the rows are written.
        accounted: True if rows in = kept + quarantined + removed must hold.
        mismatch: What it means when that does not hold, and what to do.
        metrics: JSON for the ledger and the report.
        sides: Versions of the side tables written.
        read: Versions of the stage's own tables that it read after it had changed them.
        outdated: Parts (`Stage.part`) of the main table that have to be made again because of this.
        artifact: True when files were written to the context's artifact folder.
        whole: True when `frame` is all there is in the table, whatever `output.replace` says.
        refused: Why the pipeline must not go on with this result: it is committed, so that its
            figures stay, and the run ends with this error after the stages that read everything.
        cached: What `frame` is made of and was cached, because its figures took it too; given up
            when the rows are written.
    """

    frame: DataFrame
    rows_in: int | None = None
    quarantined: int | None = None
    removed: int | None = None
    accounted: bool = False
    mismatch: str = "its input changed while it ran; run again"
    metrics: Mapping[str, Any] = field(default_factory=dict)
    sides: Mapping[str, int] = field(default_factory=dict)
    read: Mapping[str, int] = field(default_factory=dict)
    outdated: Sequence[str] = ()
    artifact: bool = False
    whole: bool = False
    refused: SparkmineError | None = None
    cached: DataFrame | None = None

    def release(self) -> None:
        """Give up what is cached."""
        if self.cached is not None:
            self.cached.unpersist()


@dataclass(frozen=True)
class Context:
    """What a stage may use while it runs.

    Attributes:
        base: Folder of the YAML file; relative paths start here.
        inputs: The pinned snapshots of the tables that the stage reads, by name; its own table
            among them where it looks back at an earlier version (`Stage.earlier`).
        commits: The commit that made each of them, with its stage's metadata.
        progress: Takes small JSON objects to show while the stage runs.
        scratch: Takes what the stage writes, instead of the lake it reads from: a replay's.
    """

    spark: SparkSession
    lake: Lake
    stage: str
    run_id: str
    fingerprint: str
    seed: int
    date: str
    code_version: str
    base: Path
    inputs: Mapping[str, Snapshot]
    commits: Mapping[str, Commit]
    progress: Callable[[Mapping[str, Any]], None]
    scratch: Lake | None = None

    @property
    def target(self) -> Lake:
        """The lake that the stage writes to."""
        return self.lake if self.scratch is None else self.scratch

    def rows(self, table: str, where: str | None = None) -> Snapshot:
        """A pinned input, or the part of it for which `where` is true."""
        snapshot = self.inputs[table]
        return snapshot.where(where) if where else snapshot

    def frame(self, table: str, where: str | None = None) -> DataFrame:
        """The same as a DataFrame."""
        return self.rows(table, where).dataframe(self.spark)

    def quarantine(self, df: DataFrame, table: str, source: Column | str, **more: Any) -> Tally:
        """Write the bad rows of `df` to the side table, marked with this run and stage.

        `more` are further arguments of `clean.quarantine.quarantine`.
        """
        return quarantine(
            df,
            self.target.table(table),
            run_id=self.run_id,
            stage=self.stage,
            fingerprint=self.fingerprint,
            source=source,
            **more,
        )

    def write_side(self, table: str, rows: DataFrame) -> int:
        """Write rows beside the main table, marked with this run; returns the version.

        Rows that were written under the same fingerprint before are replaced.
        """
        from pyspark.sql import functions as F

        marks = {"run_id": self.run_id, "fingerprint": self.fingerprint}
        marked = [F.lit(value).alias(name) for name, value in marks.items()]
        commit = self.target.table(table).write(
            rows.select(*marked, *rows.columns),
            "replace_where",
            replace_where=f"fingerprint = '{self.fingerprint}'",
            partition_by=["fingerprint"],
        )
        return commit.version

    def artifact(self) -> Path:
        """The folder for this stage's files; its name is the fingerprint.

        Raises:
            ConfigError: the warehouse is no folder that this machine mounts.
        """
        self._check_mounted()
        folder = artifact_folder(self.target, self.stage, self.fingerprint)
        folder.parent.mkdir(parents=True, exist_ok=True)
        return folder

    def logs(self) -> Path:
        """The warehouse's folder of logs.

        Raises:
            ConfigError: the warehouse is no folder that this machine mounts.
        """
        self._check_mounted()
        return Path(self.target.root) / LOGS

    def artifact_of(self, table: str) -> Path:
        """The folder that the stage which wrote `table` left.

        Raises:
            ConfigError: that stage leaves none.
        """
        metadata = self.commits[table].metadata or {}
        if not metadata.get("artifact"):
            raise ConfigError(f"stage {self.stage}: the stage that writes {table} leaves no model")
        return artifact_folder(self.lake, metadata["stage"], metadata["fingerprint"])

    def _check_mounted(self) -> None:
        if not self.lake.local:
            raise ConfigError(
                f"stage {self.stage} leaves files, and the warehouse {self.lake.root} is no "
                "mounted folder; use a shared file system for pipelines with models and reports"
            )


def artifact_folder(lake: Lake, stage: str, fingerprint: str) -> Path:
    """Where a stage with this fingerprint keeps its files."""
    return Path(lake.root) / "_artifacts" / stage / fingerprint[:16]


def part_name(constants: Mapping[str, Any]) -> str:
    """The name of the part of a table whose columns have these values; JSON."""
    return json.dumps(constants, sort_keys=True, default=str)


class Stage(Block, ABC):
    """Base of all stage kinds. Subclasses set `kind`; the class docstring is the manual."""

    kind: ClassVar[str]

    stage: str
    name: Annotated[str, AfterValidator(_table_name)]
    output: Output = Output()

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        super().__pydantic_init_subclass__(**kwargs)
        kind = cls.__dict__.get("kind")
        if kind is None:
            return
        if kind in STAGES:
            raise TypeError(f"stage kind {kind!r} is defined twice")
        STAGES[kind] = cls

    @property
    @abstractmethod
    def writes(self) -> str:
        """The main table."""

    @property
    def sides(self) -> tuple[str, ...]:
        """Side tables."""
        return ()

    @property
    @abstractmethod
    def reads(self) -> dict[str, str]:
        """The tables read, by the key path in the stage's block that names each."""

    @property
    def needs(self) -> Iterable[Need]:
        """The columns that the block names, which must be there before the work begins."""
        return ()

    @property
    def reads_all(self) -> bool:
        """True for a stage that reads the main tables of all other stages."""
        return False

    @property
    def within_scope(self) -> bool:
        """True when, with `output.replace`, only rows of the input are read that match it."""
        return False

    @property
    def part(self) -> str:
        """The constants of `output.replace`, by which parts of the table are told apart; JSON."""
        scope = self.output.replace
        return part_name(equalities(parse(scope)) if scope else {})

    @property
    def always(self) -> str:
        """Why the stage runs every time; empty when its fingerprint tells whether it must."""
        return ""

    def files(self, base: Path) -> list[Path]:
        """Files whose content the result depends on (sources, SQL)."""
        return []

    def earlier(self, lake: Lake) -> Snapshot | None:
        """The version of its own table that a stage compares its rows with; None for none.

        The stage finds it among its context's inputs. It is no part of the fingerprint: the stage
        itself writes that table, and would have to run each time.
        """
        return None

    def check(self, base: Path) -> None:
        """Check what needs no Spark, such as that files exist. Raises SparkmineError."""
        return

    def scoped(self, context: Context, table: str) -> Snapshot:
        """A pinned input, narrowed to the rows that the output replaces."""
        snapshot = context.inputs[table]
        scope = self.output.replace
        return snapshot if scope is None else snapshot.where(scope)

    def again(self, context: Context, rows: DataFrame, beside: DataFrame | None) -> DataFrame:
        """Judge rows of the stage's quarantine again, by its rules as they are now.

        Args:
            rows: Rows of the quarantine.
            beside: The rows that the main table has in the run's scope; None when the rows have
                passed already, and only `_row` is wanted.

        Returns:
            `rows` with `_reasons`, with `_removed`, true where a row without reasons is dropped,
            and with `_row`, a struct of the columns of the main table.
        """
        raise ConfigError(f"stage {self.name} has no quarantine")

    @abstractmethod
    def run(self, context: Context) -> Result:
        """Do the work; write side tables and artifacts; return the rows of the main table."""
