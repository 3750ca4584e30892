"""The identity of a stage's work, known before anything is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import sparkmine
from sparkmine.stages import Stage

_HASHED_BYTES = 1 << 20


@cache
def code_version() -> str:
    """The package's version and a digest of its source, which tells apart what was edited."""
    root = Path(sparkmine.__file__).parent
    digest = hashlib.sha256()
    for file in sorted(root.rglob("*")):
        if file.suffix in (".py", ".j2", ".css"):
            digest.update(str(file.relative_to(root)).encode())
            digest.update(file.read_bytes())
    return f"{sparkmine.__version__}+{digest.hexdigest()[:10]}"


def components(
    stage: Stage, *, versions: Mapping[str, int], base: Path, seed: int
) -> dict[str, Any]:
    """What the result of a stage depends on, as JSON: the parts of its fingerprint.

    Small files count by content; larger ones by size and modification time.
    """
    return {
        "config": stage.model_dump(mode="json"),
        "inputs": dict(versions),
        "files": _files(stage, base),
        "seed": seed,
        "code": code_version(),
    }


def fingerprint(parts: Mapping[str, Any]) -> str:
    """The SHA-256 of the components; files count by name, not by folder (see `_name`)."""
    named = {**parts, "files": sorted((_name(f), v) for f, v in parts["files"].items())}
    return hashlib.sha256(json.dumps(named, sort_keys=True).encode()).hexdigest()


def _files(stage: Stage, base: Path) -> dict[str, Any]:
    return {str(file): _file(file) for file in stage.files(base)}


def _name(file: str) -> str:
    """The file's name, with the folders NAME=VALUE that it is in: these are columns of its rows."""
    *folders, name = Path(file).parts
    values = list(takewhile(lambda folder: "=" in folder, reversed(folders)))
    return "/".join([*reversed(values), name])


def _file(file: Path) -> list[Any]:
    status = file.stat()
    if status.st_size <= _HASHED_BYTES:
        return [status.st_size, hashlib.sha256(file.read_bytes()).hexdigest()[:16]]
    return [status.st_size, status.st_mtime_ns]


def difference(old: Mapping[str, Any] | None, new: Mapping[str, Any]) -> str:
    """In one line, why a stage must run: the first input, file or key that changed."""
    if old is None:
        return "it has not run yet"
    for table, version in new["inputs"].items():
        if table not in old["inputs"]:
            return f"input {table} is new"
        if old["inputs"][table] != version:
            return f"input {table} changed (version {old['inputs'][table]} → {version})"
    file = _changed_file(old["files"], new["files"])
    if file:
        return file
    changed = _changed(old["config"], new["config"], "")
    if changed:
        return changed
    if old["seed"] != new["seed"]:
        return f"seed changed ({old['seed']} → {new['seed']})"
    if old["code"] != new["code"]:
        return f"the code changed ({old['code']} → {new['code']})"
    return "its table holds another run"


def changed_file(old: Mapping[str, Any], stage: Stage, base: Path) -> str:
    """The first file of a stage that is not as it was, and how; empty when all are.

    Args:
        old: The `files` of its components then.
    """
    try:
        return _changed_file(old, _files(stage, base))
    except FileNotFoundError as error:
        return f"file {Path(error.filename).name} is gone"


def _changed_file(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    before = {_name(f): v for f, v in old.items()}
    now = {_name(f): v for f, v in new.items()}
    for file in now:
        if before.get(file) != now[file]:
            return f"file {file} {'changed' if file in before else 'is new'}"
    gone = sorted(set(before) - set(now))
    return f"file {gone[0]} is gone" if gone else ""


def _changed(old: Any, new: Any, path: str) -> str | None:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in [*new, *(k for k in old if k not in new)]:
            inner = f"{path}.{key}" if path else str(key)
            if key not in old:
                return f"{inner} is new ({_short(new[key])})"
            if key not in new:
                return f"{inner} was removed ({_short(old[key])})"
            found = _changed(old[key], new[key], inner)
            if found:
                return found
        return None
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            found = _changed(a, b, f"{path}[{index}]")
            if found:
                return found
        return None
    return None if old == new else f"{path} changed ({_short(old)} → {_short(new)})"


def _short(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
