"""What a recipe was fitted on, and the statistics that came of it: what an update starts from."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from sparkmine.expr import Expr
from sparkmine.stats import Memory

_LEARNED, _FILES = "learned.json", "files.parquet"


@dataclass(frozen=True)
class Learned:
    """What a recipe was fitted on, and the statistics that came of it.

    Attributes:
        path: Of the Delta table. version: Of it.
        predicate: The part of the table, None for all of it.
        files: Data files that were scanned.
    """

    path: str
    version: int
    predicate: Expr | None
    files: frozenset[str]
    memory: Memory

    def save(self, folder: Path) -> None:
        self.memory.save(folder)
        pq.write_table(pa.table({"path": sorted(self.files)}), folder / _FILES)
        predicate = None if self.predicate is None else self.predicate.to_json()
        data = {"path": self.path, "version": self.version, "predicate": predicate}
        (folder / _LEARNED).write_text(json.dumps(data, indent=1) + "\n")

    @classmethod
    def load(cls, folder: Path) -> Learned | None:
        """None where the recipe was fitted on a DataFrame."""
        if not (folder / _LEARNED).exists():
            return None
        data = json.loads((folder / _LEARNED).read_text())
        predicate = None if data["predicate"] is None else Expr.from_json(data["predicate"])
        files = frozenset(pq.read_table(folder / _FILES).column("path").to_pylist())
        return cls(data["path"], data["version"], predicate, files, Memory.load(folder))
