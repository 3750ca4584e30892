"""What the scans of a fit have learned, kept so that appended files alone need to be scanned later.

Small states are held; the full counts of keyed ones, which may be too large for one process, are
Parquet files that the reducers write.
"""

from __future__ import annotations

import atexit
import hashlib
import shutil
import tempfile
import uuid
import weakref
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from sparkmine.stats import saved

_STATES, _COUNTS = "statistics.json", "counts"


@dataclass(eq=False)
class Memory:
    """States by the stat and the text of its inputs.

    Attributes:
        states: Of stats that are not keyed, at every level of refinement.
        folder: Takes the counts of keyed ones, where all executors see it; None keeps none.
        scratch: Where folders are made; None for this machine's temporary folder.
    """

    states: dict[tuple[Any, str], Any] = field(default_factory=dict)
    folder: Path | None = None
    scratch: Path | None = None

    @classmethod
    def within(cls, scratch: Path | None) -> Memory:
        """With a folder of its own in `scratch`, by default this machine's temporary folder, that
        goes with the object."""
        memory = cls(folder=own_folder(scratch), scratch=scratch)
        weakref.finalize(memory, shutil.rmtree, str(memory.folder), ignore_errors=True)
        return memory

    @cached_property
    def vocabularies(self) -> Path:
        """Another folder, for vocabularies that are files.

        It stays until the process ends: a DataFrame that reads from it may outlive the recipe.
        """
        folder = own_folder(self.scratch)
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        return folder

    def counted(self, key: tuple[Any, str]) -> bool:
        """True if the counts of a keyed stat are kept."""
        return next(self.files(key), None) is not None

    def files(self, key: tuple[Any, str]) -> Iterator[Path]:
        """The Parquet files of a keyed stat, by bucket."""
        if self.folder is not None:
            yield from sorted(self.folder.glob(f"{digest(key)}-*.parquet"))

    @property
    def buckets(self) -> int | None:
        """Into how many the keys are split by their hash; None where no counts are kept."""
        files = () if self.folder is None else self.folder.glob("*-of-*.parquet")
        found = next(iter(files), None)
        return None if found is None else int(found.stem.rsplit("-", 1)[1])

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


def own_folder(parent: Path | None) -> Path:
    """A new folder that no other fit knows, by default in this machine's temporary folder."""
    if parent is None:
        return Path(tempfile.mkdtemp(prefix="sparkmine-"))
    folder = parent.absolute() / f"sparkmine-{uuid.uuid4().hex}"
    folder.mkdir(parents=True)
    return folder


def write_counts(
    folder: Path, key: tuple[Any, str], bucket: int, buckets: int, counts: pa.Table
) -> None:
    """Called by reducers, once for each bucket; a task that runs again writes the same."""
    target = folder / f"{digest(key)}-{bucket:05}-of-{buckets:05}.parquet"
    temporary = folder / f".{target.name}.{uuid.uuid4().hex}"
    # Keys are distinct, and in order: the steps between them are small, as most counts are.
    steps = [field.name for field in counts.schema if pa.types.is_integer(field.type)]
    encoding = dict.fromkeys(steps, "DELTA_BINARY_PACKED")
    pq.write_table(counts, temporary, use_dictionary=False, column_encoding=encoding or None)
    temporary.replace(target)


def bucket_of(file: Path) -> int:
    """The bucket whose counts a file holds."""
    return int(file.stem.split("-")[1])


def read_counts(file: Path) -> pa.Table:
    """One file of counts."""
    return pq.read_table(file).combine_chunks()
