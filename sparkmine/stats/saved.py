"""States as files: JSON for people to read, one Arrow file for the arrays in it, no pickle."""

from __future__ import annotations

import dataclasses
import importlib
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from sparkmine.errors import ModelError


def write(file: Path, value: Any) -> None:
    """Write `value` as `file` (JSON) and the arrays in it as an Arrow file of the same name.

    Known are dataclasses, dicts, tuples, numbers, texts and NumPy arrays of numbers.
    """
    arrays: list[np.ndarray] = []
    file.write_text(json.dumps(_encoded(value, arrays), indent=1) + "\n")
    table = pa.table(
        {
            "type": pa.array([array.dtype.str for array in arrays], pa.string()),
            "shape": pa.array([list(array.shape) for array in arrays], pa.list_(pa.int64())),
            "data": pa.array([array.tobytes() for array in arrays], pa.large_binary()),
        }
    )
    arrow = file.with_suffix(".arrow")
    with pa.OSFile(str(arrow), "wb") as sink, pa.ipc.new_file(sink, table.schema) as writer:
        writer.write_table(table)


def read(file: Path) -> Any:
    """What `write` wrote; lists come back as tuples.

    Raises:
        ModelError: another file.
    """
    try:
        with pa.OSFile(str(file.with_suffix(".arrow")), "rb") as source:
            rows = pa.ipc.open_file(source).read_all().to_pylist()
        arrays = [
            np.frombuffer(row["data"], np.dtype(row["type"])).reshape(row["shape"]) for row in rows
        ]
        return _decoded(json.loads(file.read_text()), arrays)
    except (OSError, KeyError, ValueError, TypeError, AttributeError, pa.ArrowException) as error:
        raise ModelError(f"{file} holds no statistics of a recipe: {error}") from None


def _encoded(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, np.ndarray):
        arrays.append(np.ascontiguousarray(value))
        return {"array": len(arrays) - 1}
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return {"double": str(value)}
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, tuple | list):
        return [_encoded(item, arrays) for item in value]
    if isinstance(value, dict):
        return {"items": [[_encoded(k, arrays), _encoded(v, arrays)] for k, v in value.items()]}
    if dataclasses.is_dataclass(value):
        kind = type(value)
        fields = {
            f.name: _encoded(getattr(value, f.name), arrays)
            for f in dataclasses.fields(value)
            if f.init
        }
        return {"type": f"{kind.__module__}:{kind.__qualname__}", "fields": fields}
    raise TypeError(f"a state holds a {type(value).__name__}, which cannot be saved")


def _decoded(value: Any, arrays: list[np.ndarray]) -> Any:
    if isinstance(value, list):
        return tuple(_decoded(item, arrays) for item in value)
    if not isinstance(value, dict):
        return value
    if "array" in value:
        return arrays[value["array"]]
    if "double" in value:
        return float(value["double"])
    if "items" in value:
        return {_decoded(k, arrays): _decoded(v, arrays) for k, v in value["items"]}
    module, _, name = value["type"].partition(":")
    kind = getattr(importlib.import_module(module), name)
    if not (isinstance(kind, type) and dataclasses.is_dataclass(kind)):
        raise ValueError(f"{value['type']} is not the type of a state")
    return kind(**{key: _decoded(item, arrays) for key, item in value["fields"].items()})
