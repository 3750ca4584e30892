"""What the scans of a fit have learned, kept so that appended files alone need to be scanned later.

Small states are held; the full counts of keyed ones, which may be too large for one process, are
Parquet files that the reducers write.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparkmine.stats import saved
from sparkmine.stats.counts import CountsState, KeyCounts

_STATES, _COUNTS = "statistics.json", "counts"


@dataclass(eq=False)
class Memory:
    """States by the stat and the text of its inputs.

    Attributes:
        states: Of stats that are not keyed, at every level of refinement.
        folder: Takes the counts of keyed ones, where all executors see it; None keeps none.
    """

    states: dict[tuple[Any, str], Any] = field(default_factory=dict)
    folder: Path | None = None

    @classmethod
    def temporary(cls) -> Memory:
        """With a folder of this machine that goes with the object."""
        memory = cls(folder=Path(tempfile.mkdtemp(prefix="sparkmine-counts-")))
        weakref.finalize(memory, shutil.rmtree, str(memory.folder), ignore_errors=True)
        return memory

    def counted(self, key: tuple[Any, str]) -> bool:
        """True if the counts of a keyed stat are kept."""
        return next(self.files(key), None) is not None

    def files(self, key: tuple[Any, str]) -> Iterator[Path]:
        """The Parquet files of a keyed stat."""
        if self.folder is not None:
            yield from sorted(self.folder.glob(f"{digest(key)}-*.parquet"))

    def save(self, folder: Path) -> None:
        saved.write(folder / _STATES, self.states)
        if self.folder is not None:
            shutil.copytree(self.folder, folder / _COUNTS, dirs_exist_ok=True)

    @classmethod
    def load(cls, folder: Path) -> Memory:
        counts = folder / _COUNTS
        return cls(saved.read(folder / _STATES), counts if counts.is_dir() else None)


def digest(key: tuple[Any, str]) -> str:
    """Names the files of a keyed stat."""
    return hashlib.sha256(repr(key).encode()).hexdigest()[:16]


def write_counts(folder: Path, key: tuple[Any, str], bucket: int, counts: KeyCounts) -> None:
    """Called by reducers, once for each bucket; a task that runs again writes the same."""
    table = pa.table({"key": counts.keys, "count": counts.counts})
    target = folder / f"{digest(key)}-{bucket:05}.parquet"
    temporary = folder / f".{target.name}.{uuid.uuid4().hex}"
    pq.write_table(table, temporary)
    temporary.replace(target)


def read_counts(file: Path) -> CountsState:
    """One file of counts as a state."""
    table = pq.read_table(file).combine_chunks()
    keys = table.column("key").combine_chunks()
    return CountsState((KeyCounts(keys, table.column("count").to_numpy()),))
