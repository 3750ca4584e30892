"""Delta tables by name in a warehouse folder: read a pinned version, commit once."""

from __future__ import annotations

import contextlib
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError, WarehouseError
from sparkmine.expr import parse
from sparkmine.lake import log
from sparkmine.lake.failures import OUTSIDE, translated
from sparkmine.lake.lock import lock
from sparkmine.lake.snapshot import Snapshot
from sparkmine.lake.writing import Write

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOCK_WAIT_SECONDS = 120.0
# The folder below a local root for the logs of runs and of training.
LOGS = "_logs"
TABLE_NAME = re.compile(r"^[a-z_][a-z0-9_]*(/[a-z_][a-z0-9_]*)*$")
MODES = ("overwrite", "append", "replace_where")


class Lake:
    """The tables below one root: a local folder, or any URI that Spark can write."""

    def __init__(self, root: str | Path, spark: SparkSession) -> None:
        text = str(root)
        self.local = "://" not in text or text.startswith("file://")
        path = text.removeprefix("file://")
        self.root = str(Path(path).absolute()) if self.local else text.rstrip("/")
        self.spark = spark

    def table(self, name: str) -> Table:
        """The table called `name`, such as `raw/transactions`; it need not exist yet."""
        if not TABLE_NAME.match(name):
            raise ConfigError(f"{name!r} is no table name; use lower case words joined by / and _")
        return Table(name, f"{self.root}/{name}", self)

    def check_writable(self) -> None:
        """Raise WarehouseError unless a file can be written below the root."""
        if not self.local:
            return
        check_writable(Path(self.root))

    def tables(self) -> list[str]:
        """Names of the Delta tables of a local lake, sorted."""
        root = Path(self.root)
        found = (path.parent for path in root.rglob("_delta_log") if path.is_dir())
        return sorted(str(path.relative_to(root)) for path in found)

    @contextlib.contextmanager
    def locked(self, name: str, what: str, wait: float = LOCK_WAIT_SECONDS) -> Iterator[None]:
        """Hold the lake's lock `name` against other processes of this machine."""
        if not self.local:
            yield
            return
        file = Path(self.root) / "_locks" / (name.replace("/", ".") + ".lock")
        with lock(file, what, wait):
            yield


def check_writable(root: Path) -> None:
    """Raise WarehouseError unless a file can be written in `root`, which is made if absent."""
    probe = root / f".probe-{uuid.uuid4().hex}"
    try:
        root.mkdir(parents=True, exist_ok=True)
        probe.write_bytes(b"")
        probe.unlink()
    except OSError as error:
        raise WarehouseError(
            f"{root} cannot be written ({error.strerror}); name another folder with "
            "`warehouse:` or --warehouse, or give this user the right to write"
        ) from None


@dataclass(frozen=True)
class Table:
    """A Delta table by name. It holds no state: every call asks the log."""

    name: str
    path: str
    lake: Lake

    def exists(self) -> bool:
        return log.newest_version(self.lake.spark, self.path) >= 0

    def snapshot(self, version: int | None = None) -> Snapshot:
        """The table at `version`, the newest if None.

        Raises:
            TableMissingError, VersionError, TableDamagedError
        """
        return log.read_snapshot(self.lake.spark, self.path, version)

    def commits(self) -> Iterator[log.Commit]:
        """Commits, newest first, read one by one; none when there is no table."""
        return log.commits(self.lake.spark, self.path)

    def commit(self, version: int) -> log.Commit:
        """The commit that made `version`.

        Raises:
            VersionError: the log does not go back to it, or has not come to it.
        """
        return log.commit(self.lake.spark, self.path, version)

    def write(
        self,
        df: DataFrame,
        mode: str = "overwrite",
        *,
        partition_by: Sequence[str] = (),
        replace_where: str | None = None,
        metadata: Mapping[str, Any] | None = None,
        application: str | None = None,
        new_columns: bool = False,
        since: int | None = None,
    ) -> log.Commit:
        """Write `df` in one commit and return it.

        Args:
            df: The rows.
            mode: `overwrite`, `append` or `replace_where`.
            partition_by: Partition columns, when the table is created or overwritten.
            replace_where: With mode `replace_where`, the SQL condition on partition columns
                whose rows are replaced; rows of `df` outside it are an error.
            metadata: A JSON object kept with the commit.
            new_columns: Columns that the table lacks are added to it, null in its other rows; else
                they are an error, except with `overwrite`.
            application: Delta's transaction id, under which two writers at once cannot both commit.
            since: With `application`, the version of the table that its writer knew (-1 for no
                table). A newer commit of the same application is this work, done already: it is
                returned if its rows are the same.

        Raises:
            LockedError: another process has been writing the table for two minutes.
            WriteConflictError: writers that the lock does not hold off were faster each time.
            FingerprintError: the application has committed other rows after `since`.
            DataError: rows are outside `replace_where`.
            WarehouseError: nothing can be written there, or the disk is full.
            CommitError: Delta took no commit and gave no reason.
        """
        if mode not in MODES or (mode == "replace_where") != (replace_where is not None):
            raise ConfigError(
                f"table {self.name}: mode is one of {MODES}, and replace_where needs its condition"
            )
        if replace_where is not None:
            parse(replace_where)  # our language, so nothing else reaches the engine
        if since is not None and (application is None or mode == "append"):
            raise ConfigError(
                f"table {self.name}: since= goes with application=, and not with appends"
            )
        with self.lake.locked(self.name, f"table {self.name}"), translated(self.path):
            created = not self.exists()
            rows = df
            if mode == "replace_where" and created:
                # Delta checks rows against the condition only where there is a table already.
                assert replace_where is not None
                rows = _checked(df, replace_where)
            writer = rows.write.format("delta")
            if new_columns:
                writer = writer.option("mergeSchema", "true")
            if mode == "replace_where":
                writer = writer.mode("overwrite").option("replaceWhere", replace_where)
            else:
                writer = writer.mode(mode)
                if mode == "overwrite":
                    writer = writer.option("overwriteSchema", "true")
            if partition_by:
                # Or each task would leave a file in each partition.
                writer = writer.option("optimizeWrite", "true")
            if partition_by and (mode != "replace_where" or created):
                writer = writer.partitionBy(*partition_by)
            write = Write(
                table=self,
                df=df,
                writer=writer,
                metadata=metadata or {},
                scope=replace_where,
                application=application,
                since=since,
            )
            return write.commit()


def _checked(df: DataFrame, condition: str) -> DataFrame:
    """The rows, of which one for which the condition is not true ends the job."""
    from pyspark.sql import functions as F

    from sparkmine.expr import to_column

    inside = to_column(parse(condition))
    return df.where(F.when(inside, True).otherwise(F.raise_error(OUTSIDE).cast("boolean")))
