"""Spark's and Delta's errors about a table, as coded ones that say what to do."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from pathlib import Path

from sparkmine.errors import (
    DataError,
    SparkmineError,
    TableDamagedError,
    VersionError,
    WarehouseError,
    WriteConflictError,
)

ENTRY = re.compile(r"^(\d{20})\.json$")  # of Delta's log
# What a write says about rows outside its condition, when Delta itself does not look: see `Table`.
OUTSIDE = "a row is outside replace_where"

_CONFLICT = re.compile(
    r"DELTA_CONCURRENT_\w+|DELTA_METADATA_CHANGED\w*|DELTA_PROTOCOL_CHANGED\w*"
    r"|Concurrent(?:Append|Delete\w+|Transaction|Write|Modification)Exception"
)
_NO_VERSION = re.compile(
    r"DELTA_VERSION_NOT_FOUND|VersionNotFoundException|TIMESTAMP_OUT_OF_RANGE"
    r"|DELTA_UNSUPPORTED_TIME_TRAVEL_BEYOND_DELETED_FILE_RETENTION_DURATION"
)
_FULL = re.compile(r"No space left on device|Disk quota exceeded|File too large")
_UNWRITABLE = re.compile(r"Permission denied|Read-only file system|Mkdirs failed|Not a directory")
_OUTSIDE = re.compile(rf"DELTA_REPLACE_WHERE_MISMATCH|{OUTSIDE}")
_DAMAGE = re.compile(
    r"DELTA_(LOG_FILE_NOT_FOUND|TRUNCATED_TRANSACTION_LOG|STATE_RECOVER_ERROR"
    r"|VERSIONS_NOT_CONTIGUOUS"
    r"|FAILED_READ_FILE|FILE_NOT_FOUND|METADATA_ABSENT|PROTOCOL_ABSENT|MISSING_PART_FILES"
    r"|CHECKPOINT"
    r"|FAIL\w*READ\w*|FILE_TO_OVERWRITE_NOT_FOUND|MALFORMED\w*)|FAILED_READ_FILE"
    r"|FileNotFoundException"
    r"|does not exist|is not a Parquet file|Could not read footer|JsonParseException"
    r"|JsonEOFException|ChecksumException|Input/output error"
    r"|MismatchedInput|JsonMappingException|Parquet magic bytes|CANNOT_READ_FILE"
)


def conflict(error: Exception) -> str | None:
    """What Delta calls it when another writer was faster; None for any other error."""
    found = _CONFLICT.search(str(error))
    return found.group(0) if found else None


@contextlib.contextmanager
def translated(path: str) -> Iterator[None]:
    """Turn Spark's and Delta's errors about the table at `path` into coded ones."""
    from py4j.protocol import Py4JJavaError
    from pyspark.errors import PySparkException

    try:
        yield
    except SparkmineError:
        raise
    except (PySparkException, Py4JJavaError) as error:
        coded = _coded(path, error)
        if coded is None:
            raise
        raise coded from error


def _coded(path: str, error: Exception) -> SparkmineError | None:
    from pyspark.errors import AnalysisException

    text = str(error)
    first = _reason(text)
    if _NO_VERSION.search(text):
        return VersionError(f"{path}: {first}")
    if _OUTSIDE.search(text):
        values = re.search(r"violated by row with values:\s*(.+)", text, re.DOTALL)
        row = " ".join(values.group(1).split("SQLSTATE")[0].split()) if values else ""
        return DataError(
            f"{path}: a row that is to be written is outside the condition whose rows are replaced"
            f"{' (' + row[:200] + ')' if row else ''}; nothing was written; correct the rows or "
            "the condition (`output.replace`)"
        )
    if conflict(error) is not None:
        return WriteConflictError(f"{path}: another writer was faster: {first}; run again")
    full = _FULL.search(text)
    if full:
        return WarehouseError(
            f"{path} cannot be written: {full.group(0)}; the table is as before; free space (where "
            "the warehouse is, or Spark's own files: SPARK_LOCAL_DIRS) and run again"
        )
    if _UNWRITABLE.search(text):
        return WarehouseError(
            f"{path} cannot be used: {first}; the table is as before; give this user the right to "
            "read and write, or mount the folder for writing, and run again"
        )
    if "CAST_INVALID_INPUT" in text:
        return DataError(
            f"{path}: text is compared with a number or a date, and some values are none; "
            "write try_cast(COLUMN as TYPE), or cast(...) in a condition, which gives null"
        )
    # A query that does not fit its tables is an analysis error of another kind.
    damage = "DELTA_" in text if isinstance(error, AnalysisException) else True
    if damage and _DAMAGE.search(text):
        found = re.search(r"[\w:./=%-]+\.(?:parquet|json|crc)\b", text)
        # What is written may be whole, and what it is made from not.
        table = (_table_of(found.group(0)) if found else None) or path
        if table != path and Path(table).is_dir() and not (Path(table) / "_delta_log").is_dir():
            return DataError(
                f"{found and found.group(0)}: the file cannot be read: {first}; {path} is as "
                "before; write the file again, or take it out of the source"
            )
        return damaged(table, found.group(0) if found else _missing_entry(path), first)
    return None


def damaged(table: str, file: str, reason: str) -> TableDamagedError:
    """The error about a table and a file of it, with what helps for that kind of file."""
    named = f" (file {file})" if file else ""
    help = (
        "restore the log entry from a backup, or delete the table and run its stage again"
        if file.endswith((".json", ".crc")) or not file
        else "restore the file, or RESTORE the table to an earlier version, or delete the table "
        "and run its stage again"
    )
    return TableDamagedError(f"{table}{named} is damaged: {reason}; {help}")


def _missing_entry(path: str) -> str:
    """The first gap in the log's entries, as a file name; empty if there is none."""
    folder = Path(path) / "_delta_log"
    try:
        names = [file.name for file in folder.iterdir()]
    except OSError:
        return ""
    found = sorted(int(match.group(1)) for name in names if (match := ENTRY.match(name)))
    gaps = set(range(found[0], found[-1])) - set(found) if found else set()
    return str(folder / f"{min(gaps):020}.json") if gaps else ""


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
