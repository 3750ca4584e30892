"""What Delta's log says of a table: the bridge to the JVM's own log reader.

Spark's DataFrame API hides files, statistics and application transactions. Delta's `DeltaLog`
has them for every file system that Spark reads, so we ask it instead of parsing the log again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sparkmine.errors import TableMissingError, VersionError
from sparkmine.lake import entries, integrity
from sparkmine.lake.failures import translated
from sparkmine.lake.snapshot import DataFile, Snapshot, typed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

# Commits of these change no row: whoever compacts or vacuums a table does not own its content.
MAINTENANCE = ("OPTIMIZE", "VACUUM START", "VACUUM END", "SET TBLPROPERTIES", "REORG", "FSCK")


@dataclass(frozen=True)
class Commit:
    """One version of a table as its history tells it."""

    version: int
    operation: str
    rows: int | None
    metadata: dict[str, Any] | None
    parameters: dict[str, Any]
    at: float  # when it was written, in seconds since 1970


def newest_version(spark: SparkSession, path: str) -> int:
    """The newest version of the table at `path`, or -1 if there is none."""
    with translated(path):
        return int(_log_and_newest(spark, path)[1].version())


def read_snapshot(spark: SparkSession, path: str, version: int | None) -> Snapshot:
    """The table at a version, the newest if None.

    Raises:
        TableMissingError, VersionError, TableDamagedError
    """
    from pyspark.sql import DataFrame
    from pyspark.sql.types import StructType

    with translated(path):
        snapshot = _jvm_snapshot(spark, path, version)
        metadata = snapshot.metadata()
        schema_json = metadata.schemaString()
        protocol = json.loads(snapshot.protocol().json())["protocol"]
        configuration = json.loads(metadata.json())["metaData"]["configuration"]
        version_read = int(snapshot.version())
        rows = _rows_here(path, version_read)
        if rows is None:
            columns = ("path", "partitionValues", "size", "stats", "deletionVector")
            files = DataFrame(snapshot.allFiles().toDF(), spark).select(*columns)
            rows = [row.asDict() for row in files.collect()]
            if path.startswith("/"):
                size = sum(row["size"] for row in rows)
                integrity.check_files(path, version_read, len(rows), size)
    schema = StructType.fromJson(json.loads(schema_json))
    features = set(protocol.get("readerFeatures", []))
    if configuration.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")
    return Snapshot(
        path=path,
        version=version_read,
        schema_json=schema_json,
        partition_by=tuple(json.loads(metadata.json())["metaData"]["partitionColumns"]),
        features=frozenset(features),
        # The log's order depends on its checkpoint; ours must not.
        files=tuple(sorted((_file(path, row, schema) for row in rows), key=lambda f: f.path)),
    )


def _rows_here(path: str, version: int) -> list[dict[str, Any]] | None:
    """The files of a version without asking Delta, if its summary agrees with them."""
    rows = entries.files(path, version) if path.startswith("/") else None
    if rows is None:
        return None
    counts = len(rows), sum(row["size"] for row in rows)
    return rows if integrity.summary(path, version) == counts else None


def _log_and_newest(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """Delta's log of the table and its newest snapshot, which has version -1 without a table."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    delta_log = jvm.org.apache.spark.sql.delta.DeltaLog
    pair = delta_log.forTableWithSnapshot(spark._jsparkSession, path)
    log, newest = pair._1(), pair._2()
    if path.startswith("/"):
        integrity.check_log(path, int(newest.version()))
    return log, newest


def _jvm_snapshot(spark: SparkSession, path: str, version: int | None) -> Any:
    log, newest = _log_and_newest(spark, path)
    if newest.version() < 0:
        raise TableMissingError(f"there is no Delta table at {path}")
    if version is None or version == newest.version():
        return newest
    if not 0 <= version < newest.version():
        raise VersionError(
            f"{path} has no version {version}: its newest is {newest.version()}; "
            "it was replaced or restored since that version was read"
        )
    return log.getSnapshotAt(
        version,
        getattr(log, "getSnapshotAt$default$2")(),
        getattr(log, "getSnapshotAt$default$3")(),
        getattr(log, "getSnapshotAt$default$4")(),
    )


def _file(root: str, row: Mapping[str, Any], schema: StructType) -> DataFile:
    relative = unquote(row["path"])
    absolute = relative if re.match(r"^(/|[a-z0-9]+:)", relative) else f"{root}/{relative}"
    stats = json.loads(row["stats"]) if row["stats"] else {}
    kinds = {field.name: field.dataType for field in schema.fields}

    def bounds(key: str) -> dict[str, Any]:
        values = stats.get(key) or {}
        return {
            name: typed(value, kinds[name]) if isinstance(value, str) else value
            for name, value in values.items()
            if name in kinds and not isinstance(value, dict)
        }

    return DataFile(
        path=absolute.removeprefix("file://").removeprefix("file:"),
        size=row["size"],
        rows=stats.get("numRecords"),
        partition={n: typed(v or None, kinds[n]) for n, v in row["partitionValues"].items()},
        minimum=bounds("minValues"),
        maximum=bounds("maxValues"),
        deletion_vector=row["deletionVector"] is not None,
    )


def commits(spark: SparkSession, path: str) -> Iterator[Commit]:
    """The table's commits, newest first; none if there is no table.

    Each is read from its own log file when it is asked for, without a Spark job. The commits end
    where the log's retention has removed them.
    """
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    delta = jvm.org.apache.spark.sql.delta
    with translated(path):
        log, newest = _log_and_newest(spark, path)
        last = int(newest.version())
        if last < 0:
            return
        first = delta.DeltaHistoryManager.getEarliestDeltaFile(log)
        for version in range(last, first - 1, -1):
            yield _commit(jvm, log, version)


def standing(commits: Iterable[Commit]) -> Iterator[Commit]:
    """Those commits, of the newest first, that make the rows: no upkeep, nothing restored away."""
    restored: int | None = None
    for commit in commits:
        if restored is not None and commit.version > restored:
            continue
        if commit.operation == "RESTORE" and commit.parameters.get("version") is not None:
            restored = int(commit.parameters["version"])
        elif commit.operation not in MAINTENANCE:
            yield commit


def commit(spark: SparkSession, path: str, version: int) -> Commit:
    """The commit that made a version.

    Raises:
        TableMissingError, VersionError, TableDamagedError
    """
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    with translated(path):
        log, newest = _log_and_newest(spark, path)
        last = int(newest.version())
        if last < 0:
            raise TableMissingError(f"there is no Delta table at {path}")
        first = int(jvm.org.apache.spark.sql.delta.DeltaHistoryManager.getEarliestDeltaFile(log))
        if not first <= version <= last:
            raise VersionError(
                f"{path}: the log has no entry of version {version}, only of {first} to {last}; "
                "older ones went by delta.logRetentionDuration"
            )
        return _commit(jvm, log, version)


def _commit(jvm: Any, log: Any, version: int) -> Commit:
    delta = jvm.org.apache.spark.sql.delta
    file = delta.util.FileNames.unsafeDeltaFile(log.logPath(), version)
    conf = log.newDeltaHadoopConf()
    found = delta.DeltaHistoryManager.getCommitInfoOpt(log.store(), file, conf)
    info = json.loads(found.get().json())["commitInfo"] if found.isDefined() else {}
    return Commit(
        version=version,
        operation=info.get("operation", "unknown"),
        rows=_output_rows(info.get("operationMetrics") or {}),
        metadata=_json_object(info.get("userMetadata")),
        parameters=info.get("operationParameters") or {},
        at=info.get("timestamp", 0) / 1e3,
    )


def _output_rows(metrics: dict[str, str]) -> int | None:
    value = metrics.get("numOutputRows")
    if value is None:
        # Rows that were replaced by none.
        return 0 if metrics.get("numFiles") == "0" else None
    return int(value)


def _json_object(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return None  # another writer's free text
    return value if isinstance(value, dict) else None


def retention(spark: SparkSession, path: str) -> float:
    """Seconds for which a table keeps the files that its newest version does not need."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    with translated(path):
        metadata = _log_and_newest(spark, path)[1].metadata()
        delta_log = jvm.org.apache.spark.sql.delta.DeltaLog
        return float(delta_log.tombstoneRetentionMillis(metadata)) / 1e3
