"""Checkpoints of a fit: a folder per epoch, written under a temporary name and renamed.

`epoch-00003/` holds `state.npz` (the variables of model and optimizer, in order, float and integer
arrays only) and `state.json` (identity of the fit, epoch, history, SHA-256 of the arrays). A
folder that is damaged or half-written is passed over for the one before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

KEEP = 2
_NAME = re.compile(r"epoch-(\d{5,})")


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state after `epoch` whole epochs."""

    identity: str
    epoch: int
    arrays: list[NDArray[Any]]
    history: list[dict[str, Any]]


def save(folder: Path, checkpoint: Checkpoint) -> None:
    """Write `checkpoint`, drop later ones (of another fit) and all but the newest `KEEP`."""
    folder.mkdir(parents=True, exist_ok=True)
    target = folder / f"epoch-{checkpoint.epoch:05d}"
    temporary = folder / f".{target.name}.{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        arrays = {f"{number:05d}": array for number, array in enumerate(checkpoint.arrays)}
        np.savez(temporary / "state.npz", **arrays)
        state = {
            "identity": checkpoint.identity,
            "epoch": checkpoint.epoch,
            "history": checkpoint.history,
            "sha256": _sha256(temporary / "state.npz"),
        }
        (temporary / "state.json").write_text(json.dumps(state))
        _sync(temporary)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    present = _epochs(folder)
    kept = present[present.index(target) :][:KEEP]
    for old in set(present) - set(kept):
        shutil.rmtree(old, ignore_errors=True)


def newest(folder: Path, identity: str, epochs: int) -> Checkpoint | None:
    """Return the newest whole checkpoint of this fit with at most `epochs` epochs, or None."""
    for path in _epochs(folder):
        try:
            state = json.loads((path / "state.json").read_text())
            if _sha256(path / "state.npz") != state["sha256"]:
                raise ValueError("its arrays were changed")
            if state["identity"] != identity:
                log.warning("checkpoint %s is of another configuration or data; ignored", path)
                continue
            if state["epoch"] > epochs:
                continue
            with np.load(path / "state.npz", allow_pickle=False) as arrays:
                loaded = [arrays[name] for name in sorted(arrays.files)]
        except (OSError, ValueError, KeyError) as error:
            log.warning("checkpoint %s is damaged (%s); trying the one before", path, error)
            continue
        return Checkpoint(
            identity=identity, epoch=state["epoch"], arrays=loaded, history=state["history"]
        )
    return None


def _epochs(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    found = [(int(m[1]), p) for p in folder.iterdir() if (m := _NAME.fullmatch(p.name))]
    return [path for _, path in sorted(found, reverse=True)]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _sync(folder: Path) -> None:
    """Put the files on disk before the rename makes them count."""
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
