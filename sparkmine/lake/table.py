"""Delta tables by name in a warehouse folder: read a pinned version, commit once."""

from __future__ import annotations

import contextlib
import itertools
import json
import re
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkmine.errors import CommitError, ConfigError, WarehouseError
from sparkmine.expr import parse
from sparkmine.lake import log
from sparkmine.lake.lock import lock
from sparkmine.lake.snapshot import Snapshot

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOCK_WAIT_SECONDS = 120.0
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

        Raises:
            CommitError: Delta did not write this commit.
            LockedError: another process has been writing the table for two minutes.
        """
        if mode not in MODES or (mode == "replace_where") != (replace_where is not None):
            raise ConfigError(
                f"table {self.name}: mode is one of {MODES}, and replace_where needs its condition"
            )
        token = uuid.uuid4().hex
        writer = df.write.format("delta").option(
            "userMetadata", json.dumps({**(metadata or {}), "commit": token}, default=str)
        )
        if new_columns:
            writer = writer.option("mergeSchema", "true")
        if mode == "replace_where":
            assert replace_where is not None
            parse(replace_where)  # our language, so nothing else reaches the engine
            writer = writer.mode("overwrite").option("replaceWhere", replace_where)
            if partition_by and not self.exists():
                writer = writer.partitionBy(*partition_by)
        else:
            writer = writer.mode(mode)
            if mode == "overwrite":
                writer = writer.option("overwriteSchema", "true")
            if partition_by:
                writer = writer.partitionBy(*partition_by)
        with self.lake.locked(self.name, f"table {self.name}"), log.translated(self.path):
            if application is not None:
                # Transaction versions must grow, as the table's own do.
                version = log.newest_version(self.lake.spark, self.path) + 1
                writer = writer.option("txnAppId", application).option("txnVersion", version)
            writer.save(self.path)
            for commit in itertools.islice(self.commits(), 10):
                if (commit.metadata or {}).get("commit") == token:
                    return commit
        raise CommitError(f"table {self.name}: Delta skipped the commit; run again with --force")
