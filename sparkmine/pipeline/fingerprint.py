"""The identity of a stage's work, known before anything is written."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import takewhile
from pathlib import Path
from typing import Any

import sparkmine
from sparkmine.stages import Stage

_HASHED_BYTES = 1 << 20
ABSENT = object()  # what has no value, before or now


@dataclass(frozen=True, kw_only=True)
class Change:
    """One part of a stage's components that is not as it was.

    Attributes:
        what: `input`, `file`, `setting`, `seed` or `code`.
        name: The table, the file or the key's path; empty for the seed and the code.
        old, new: Its values as JSON; a file's say nothing to a reader. `ABSENT` for none.
    """

    what: str
    name: str
    old: Any
    new: Any

    def __str__(self) -> str:
        old, new = _short(self.old), _short(self.new)
        match self.what:
            case "seed":
                return f"seed changed ({old} → {new})"
            case "code":
                return f"the code changed ({old} → {new})"
            case "setting" if self.old is ABSENT:
                return f"{self.name} is new ({new})"
            case "setting" if self.new is ABSENT:
                return f"{self.name} was removed ({old})"
            case "setting":
                return f"{self.name} changed ({old} → {new})"
        if self.old is ABSENT:
            return f"{self.what} {self.name} is new"
        if self.new is ABSENT:
            return f"{self.what} {self.name} is gone"
        versions = f" (version {old} → {new})" if self.what == "input" else ""
        return f"{self.what} {self.name} changed{versions}"


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
    return str(next(changes(old, new), "its table holds another run"))


def changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    """All that differs between the components of two results of a stage."""
    for table, version in new["inputs"].items():
        before = old["inputs"].get(table, ABSENT)
        if before != version:
            yield Change(what="input", name=table, old=before, new=version)
    yield from _files_changed(old["files"], new["files"])
    yield from _settings_changed(old["config"], new["config"], "")
    for what in ("seed", "code"):
        if old[what] != new[what]:
            yield Change(what=what, name="", old=old[what], new=new[what])
    # Last: a table that is no longer read is a setting that changed, which says more.
    for table, version in old["inputs"].items():
        if table not in new["inputs"]:
            yield Change(what="input", name=table, old=version, new=ABSENT)


def changed_file(old: Mapping[str, Any], stage: Stage, base: Path) -> str:
    """The first file of a stage that is not as it was, and how; empty when all are.

    Args:
        old: The `files` of its components then.
    """
    try:
        return str(next(_files_changed(old, _files(stage, base)), ""))
    except FileNotFoundError as error:
        return f"file {Path(error.filename).name} is gone"


def _files_changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> Iterator[Change]:
    before = {_name(f): v for f, v in old.items()}
    now = {_name(f): v for f, v in new.items()}
    for file in (*now, *sorted(set(before) - set(now))):
        was, is_ = before.get(file, ABSENT), now.get(file, ABSENT)
        if was != is_:
            yield Change(what="file", name=file, old=was, new=is_)


def _settings_changed(old: Any, new: Any, path: str) -> Iterator[Change]:
    if isinstance(old, dict) and isinstance(new, dict):
        for key in (*new, *(k for k in old if k not in new)):
            inner = f"{path}.{key}" if path else str(key)
            yield from _settings_changed(old.get(key, ABSENT), new.get(key, ABSENT), inner)
    elif isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        for index, (a, b) in enumerate(zip(old, new, strict=True)):
            yield from _settings_changed(a, b, f"{path}[{index}]")
    elif old != new:
        yield Change(what="setting", name=path, old=old, new=new)


def _short(value: Any) -> str:
    if value is ABSENT:
        return ""
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 40 else text[:37] + "..."
