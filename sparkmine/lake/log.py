"""What Delta's log says of a table: the bridge to the JVM's own log reader.

Spark's DataFrame API hides files, statistics and application transactions. Delta's `DeltaLog`
has them for every file system that Spark reads, so we ask it instead of parsing the log again.
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from sparkmine.errors import (
    DataError,
    SparkmineError,
    TableDamagedError,
    TableMissingError,
    VersionError,
    WarehouseError,
)
from sparkmine.lake.snapshot import DataFile, Snapshot, typed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession
    from pyspark.sql.types import StructType

_DAMAGE = re.compile(
    r"DELTA_(LOG_FILE_NOT_FOUND|TRUNCATED_TRANSACTION_LOG|STATE_RECOVER_ERROR"
    r"|VERSIONS_NOT_CONTIGUOUS"
    r"|FAILED_READ_FILE|FILE_NOT_FOUND|METADATA_ABSENT|PROTOCOL_ABSENT|MISSING_PART_FILES"
    r"|CHECKPOINT"
    r"|FAIL\w*READ\w*|FILE_TO_OVERWRITE_NOT_FOUND|MALFORMED\w*)|FAILED_READ_FILE"
    r"|FileNotFoundException"
    r"|does not exist|is not a Parquet file|Could not read footer|JsonParseException"
    r"|JsonEOFException"
    r"|MismatchedInput|JsonMappingException|Parquet magic bytes|CANNOT_READ_FILE"
)
_UNWRITABLE = re.compile(
    r"Permission denied|Read-only file system|No space left on device|Mkdirs failed|Not a directory"
)


@dataclass(frozen=True)
class Commit:
    """One version of a table as its history tells it."""

    version: int
    operation: str
    rows: int | None
    metadata: dict[str, Any] | None
    parameters: dict[str, Any]
    at: float  # when it was written, in seconds since 1970


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn Spark's and Delta's errors about the table at `path` into coded ones."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import AnalysisException, PySparkException

    try:
        yield
    except SparkmineError:
        raise
    except (PySparkException, Py4JJavaError) as error:
        text = str(error)
        first = _reason(text)
        if (
            "DELTA_VERSION_NOT_FOUND" in text
            or "VersionNotFoundException" in text
            or ("TIMESTAMP_OUT_OF_RANGE" in text)
        ):
            raise VersionError(f"{path}: {first}") from error
        if _UNWRITABLE.search(text):
            raise WarehouseError(f"{path} cannot be written: {first}") from error
        if "CAST_INVALID_INPUT" in text:
            raise DataError(
                f"{path}: text is compared with a number or a date, and some values are none; "
                "write try_cast(COLUMN as TYPE), or cast(...) in a condition, which gives null"
            ) from error
        # A query that does not fit its tables is an analysis error of another kind.
        damage = "DELTA_" in text if isinstance(error, AnalysisException) else True
        if damage and _DAMAGE.search(text):
            found = re.search(r"[\w:./=%-]+\.(?:parquet|json|crc)\b", text)
            named = f" (file {found.group(0)})" if found else ""
            # What is written may be whole, and what it is made from not.
            table = _table_of(found.group(0)) if found else None
            raise TableDamagedError(
                f"{table or path}{named} is damaged: {first}; restore the file, or RESTORE the "
                "table to an earlier version, or delete the table and run its stage again"
            ) from error
        raise


def _table_of(file: str) -> str | None:
    """The folder of the table that a data or log file belongs to; None for a bare file name."""
    folder, slash, _ = file.removeprefix("file:").rpartition("/")
    if not slash:
        return None
    folder = re.sub(r"^/+", "/", folder.removesuffix("/_delta_log"))
    return re.sub(r"(/[^/=]+=[^/]*)+$", "", folder)


def _reason(text: str) -> str:
    """The innermost cause in one line; the stack trace belongs in the log."""
    lines = text.splitlines() or [""]
    causes = [line.removeprefix("Caused by: ") for line in lines if line.startswith("Caused by:")]
    start = (
        lines[1].removeprefix(": ") if len(lines) > 1 and lines[1].startswith(": ") else lines[0]
    )
    return (causes[-1] if causes else start)[:400]


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
        files = DataFrame(snapshot.allFiles().toDF(), spark).select(
            "path", "partitionValues", "size", "stats", "deletionVector"
        )
        rows = files.collect()
    schema = StructType.fromJson(json.loads(schema_json))
    features = set(protocol.get("readerFeatures", []))
    if configuration.get("delta.columnMapping.mode", "none") != "none":
        features.add("columnMapping")
    return Snapshot(
        path=path,
        version=int(snapshot.version()),
        schema_json=schema_json,
        partition_by=tuple(json.loads(metadata.json())["metaData"]["partitionColumns"]),
        features=frozenset(features),
        # The log's order depends on its checkpoint; ours must not.
        files=tuple(sorted((_file(path, row, schema) for row in rows), key=lambda f: f.path)),
    )


def _log_and_newest(spark: SparkSession, path: str) -> tuple[Any, Any]:
    """Delta's log of the table and its newest snapshot, which has version -1 without a table."""
    jvm = spark.sparkContext._jvm
    assert jvm is not None
    delta_log = jvm.org.apache.spark.sql.delta.DeltaLog
    pair = delta_log.forTableWithSnapshot(spark._jsparkSession, path)
    return pair._1(), pair._2()


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


def _file(root: str, row: Any, schema: StructType) -> DataFile:
    relative = unquote(row.path)
    absolute = relative if re.match(r"^(/|[a-z0-9]+:)", relative) else f"{root}/{relative}"
    stats = json.loads(row.stats) if row.stats else {}
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
        size=row.size,
        rows=stats.get("numRecords"),
        partition={n: typed(v or None, kinds[n]) for n, v in row.partitionValues.items()},
        minimum=bounds("minValues"),
        maximum=bounds("maxValues"),
        deletion_vector=row.deletionVector is not None,
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
        conf, folder = log.newDeltaHadoopConf(), log.logPath()
        first = delta.DeltaHistoryManager.getEarliestDeltaFile(log)
        for version in range(last, first - 1, -1):
            file = delta.util.FileNames.unsafeDeltaFile(folder, version)
            found = delta.DeltaHistoryManager.getCommitInfoOpt(log.store(), file, conf)
            info = json.loads(found.get().json())["commitInfo"] if found.isDefined() else {}
            yield Commit(
                version=version,
                operation=info.get("operation", "unknown"),
                rows=_output_rows(info.get("operationMetrics") or {}),
                metadata=_json_object(info.get("userMetadata")),
                parameters=info.get("operationParameters") or {},
                at=info.get("timestamp", 0) / 1e3,
            )


def _output_rows(metrics: dict[str, str]) -> int | None:
    value = metrics.get("numOutputRows")
    return int(value) if value is not None else None


def _json_object(text: str | None) -> dict[str, Any] | None:
    if not text:
        return None
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return None  # another writer's free text
    return value if isinstance(value, dict) else None
