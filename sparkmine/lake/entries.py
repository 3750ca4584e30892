"""The data files of a version, read from Delta's log where it lies, without a Spark job.

The protocol's action reconciliation (github.com/delta-io/delta, PROTOCOL.md): the newest checkpoint
up to the version, then each entry after it, in order; of a file the last action counts. Only logs
in local folders with plain checkpoints are read so; of others, and of what is not as it should be,
nothing is said, and Delta itself has to be asked.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

_CHECKPOINT = re.compile(r"^(\d{20})\.checkpoint\.parquet$")
_COLUMNS = ("path", "partitionValues", "size", "stats", "deletionVector")


def files(path: str, version: int) -> list[dict[str, Any]] | None:
    """What the log says of the files of a version; None if Delta has to be asked.

    Each has `path`, `partitionValues`, `size`, `stats` and `deletionVector`, as in the log.
    """
    folder = Path(path) / "_delta_log"
    try:
        found = [m for file in folder.iterdir() if (m := _CHECKPOINT.match(file.name))]
        begin = max((v for m in found if (v := int(m.group(1))) <= version), default=-1)
        there = {_name(add): add for add in _checkpoint(folder, begin)} if begin >= 0 else {}
        for number in range(begin + 1, version + 1):
            with (folder / f"{number:020}.json").open(encoding="utf-8") as entry:
                for line in entry:
                    action = json.loads(line)
                    # An entry has one action of a file, so their order does not matter.
                    if "remove" in action:
                        there.pop(_name(action["remove"]), None)
                    elif "add" in action:
                        add = action["add"]
                        there[_name(add)] = {name: add.get(name) for name in _COLUMNS}
    except (OSError, ValueError, LookupError, TypeError, pa.ArrowException):
        return None
    return list(there.values())


def _checkpoint(folder: Path, version: int) -> Iterator[dict[str, Any]]:
    """The files that a checkpoint lists.

    Raises:
        LookupError: its files are in other files.
    """
    checkpoint = pq.ParquetFile(folder / f"{version:020}.checkpoint.parquet")
    schema = checkpoint.schema_arrow
    columns = [f"add.{name}" for name in _COLUMNS]
    if "sidecar" in schema.names:
        raise LookupError("sidecar")
    kind = schema.field("add").type
    if kind.get_field_index("stats") < 0:
        raise LookupError("stats")
    for row in checkpoint.read(columns=columns)["add"].to_pylist(maps_as_pydicts="strict"):
        if row is not None and row["path"] is not None:
            yield {name: row.get(name) for name in _COLUMNS}


def _name(action: dict[str, Any]) -> tuple[str, str | None, Any]:
    """By which an action is of a file: its path, and its deletion vector."""
    vector = action.get("deletionVector") or {}
    return action["path"], vector.get("pathOrInlineDv"), vector.get("offset")
