"""Checkpoints of a fit: a folder each, written under a temporary name and renamed.

`epoch-00003/` (after 3 whole epochs) or `epoch-00003-step-000000200/` (and 200 steps of the next)
holds `state.npz` (the variables of model and optimizer, in order, float and integer arrays only,
and the best epoch's weights where a fit may return to them)
and `state.json` (identity of the fit, what is done, what is left of the epoch, history, SHA-256 of
the arrays). A folder that is damaged or half-written is passed over for the one before.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.train.order import Rest

if TYPE_CHECKING:
    from numpy.typing import NDArray

log = logging.getLogger(__name__)

KEEP = 2
_BEST = "best."
_NAME = re.compile(r"epoch-(\d{5,})(?:-step-(\d{9,}))?")


@dataclass(frozen=True, kw_only=True)
class Begun:
    """What is known of an epoch that is not done.

    Attributes:
        steps: Steps that were made of it, by however many ranks.
        rest: What is left of its order.
        losses: Means over the `rows` rows that all ranks have read of it, by name.
        draws: How often each random generator of the network was used since the epoch began.
        metrics: The sums of the compiled model's metrics over the rows of all ranks, as lists.
        order_digest: That of the data: `rest` is of no use with the same rows in another order.
    """

    steps: int
    rest: Rest
    losses: dict[str, float]
    rows: int
    draws: tuple[int, ...]
    metrics: tuple[Any, ...] = ()
    order_digest: str | None = None

    def and_then(self, losses: Mapping[str, float], rows: int) -> dict[str, float]:
        """Return the means when `rows` more rows, with the means `losses`, have been read."""
        total = self.rows + rows
        return {
            name: (self.losses[name] * self.rows + mean * rows) / total
            for name, mean in losses.items()
        }


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """The state after `epoch` whole epochs, and what was `begun` of the next.

    `best` are the weights of an earlier epoch that may become the model's.
    """

    identity: str
    epoch: int
    arrays: list[NDArray[Any]]
    history: list[dict[str, Any]]
    begun: Begun | None = None
    best: list[NDArray[Any]] | None = None


def save(folder: Path, checkpoint: Checkpoint, keep: int = KEEP) -> None:
    """Write `checkpoint`, drop later ones (of another fit) and all but the newest `keep`.

    Where the next one may find the rows in another order, the last whole epoch is kept, too.
    """
    folder.mkdir(parents=True, exist_ok=True)
    begun = checkpoint.begun
    step = "" if begun is None else f"-step-{begun.steps:09d}"
    target = folder / f"epoch-{checkpoint.epoch:05d}{step}"
    temporary = folder / f".{target.name}.{uuid.uuid4().hex}"
    temporary.mkdir()
    try:
        np.savez(
            temporary / "state.npz",
            **_named("", checkpoint.arrays),
            **_named(_BEST, checkpoint.best or []),
        )
        state = {
            "identity": checkpoint.identity,
            "epoch": checkpoint.epoch,
            **progress_to_json(checkpoint),
            "sha256": _sha256(temporary / "state.npz"),
        }
        (temporary / "state.json").write_text(json.dumps(state))
        _sync(temporary)
        if target.exists():
            shutil.rmtree(target)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    present = _saved(folder)
    earlier = present[present.index(target) :]
    kept = earlier[:keep]
    if begun is not None and begun.order_digest is not None:
        kept += [path for path in earlier if "-step-" not in path.name][:1]
    for old in set(present) - set(kept):
        shutil.rmtree(old, ignore_errors=True)


def newest(
    folder: Path,
    identity: str,
    epochs: int,
    *,
    order_digest: str | None = None,
    warn: Callable[[str], None] = log.warning,
) -> Checkpoint | None:
    """Return the newest undamaged checkpoint of this fit within its first `epochs`, or None.

    Args:
        order_digest: That of the data: one within an epoch counts only where it is equal.
        warn: Is told why one is passed over; the next one that is saved removes it if it is newer.
    """
    for path in _saved(folder):
        try:
            state = json.loads((path / "state.json").read_text())
            if _sha256(path / "state.npz") != state["sha256"]:
                raise ValueError("its arrays were changed")
            if state["identity"] != identity:
                warn(f"checkpoint {path} is of another configuration or data; ignored")
                continue
            history, begun = progress_from_json(state)
            if state["epoch"] + (begun is not None) > epochs:
                warn(f"checkpoint {path} has seen more than {epochs} epochs; ignored")
                continue
            if begun is not None and begun.order_digest != order_digest:
                warn(
                    f"checkpoint {path} is within an epoch, and the rows were written in another "
                    "order since; going on from the epoch's beginning"
                )
                continue
            with np.load(path / "state.npz", allow_pickle=False) as arrays:
                names = sorted(arrays.files)
                loaded = [arrays[name] for name in names if not name.startswith(_BEST)]
                best = [arrays[name] for name in names if name.startswith(_BEST)]
        except (OSError, ValueError, KeyError, TypeError) as error:
            warn(f"checkpoint {path} is damaged ({error}); trying the one before")
            continue
        return Checkpoint(
            identity=identity,
            epoch=state["epoch"],
            arrays=loaded,
            history=history,
            begun=begun,
            best=best or None,
        )
    return None


def progress_to_json(checkpoint: Checkpoint) -> dict[str, Any]:
    """Return what is done and what is begun."""
    begun = None if checkpoint.begun is None else asdict(checkpoint.begun)
    return {"history": checkpoint.history, "begun": begun}


def progress_from_json(stored: dict[str, Any] | None) -> tuple[list[dict[str, Any]], Begun | None]:
    """Return the history of the epochs that are done, and what is begun of the next."""
    if stored is None:
        return [], None
    history, begun = stored["history"], stored["begun"]
    return history, None if begun is None else _begun(begun)


def _named(prefix: str, arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
    return {f"{prefix}{number:05d}": array for number, array in enumerate(arrays)}


def _begun(stored: dict[str, Any]) -> Begun:
    intervals = tuple((int(first), int(last)) for first, last in stored["rest"]["intervals"])
    rest = Rest(ranks=stored["rest"]["ranks"], intervals=intervals)
    draws, metrics = tuple(stored["draws"]), tuple(stored.get("metrics", ()))
    return Begun(**{**stored, "rest": rest, "draws": draws, "metrics": metrics})


def _saved(folder: Path) -> list[Path]:
    """The folders, those that have seen most first."""
    if not folder.is_dir():
        return []
    named = [(_NAME.fullmatch(path.name), path) for path in folder.iterdir()]
    found = [(int(m[1]), int(m[2] or 0), path) for m, path in named if m]
    return [path for *_, path in sorted(found, reverse=True)]


def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()


def _sync(folder: Path) -> None:
    """Put the files on disk before the rename makes them count."""
    for file in folder.iterdir():
        with file.open("rb") as stream:
            os.fsync(stream.fileno())
