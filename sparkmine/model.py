"""The `Model` protocol: whatever is fitted and scores rows later.

A saved model is a folder with a `manifest.json`: the format version, the dotted path of the
class, and the SHA-256 of every other file. It is written under a temporary name and renamed,
so a folder with a manifest is a whole model. No pickle: files are JSON, Arrow, NumPy (`.npz`
without objects) or `.keras`.
"""

from __future__ import annotations

import hashlib
import importlib
import json
import shutil
import uuid
from abc import ABC, abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol, Self

from sparkmine.errors import ModelError
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.lake.snapshot import Snapshot
from sparkmine.stats import here

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import DataFrame, SparkSession

Task = Literal["binary", "multiclass", "regression"]
# What a supervised model adds to the rows that it scores; the second of several classes only.
SCORES = ("prediction", "probability")
# What it adds beside them where a threshold was chosen for costs.
DECISION = "decision"

FORMAT = 1
MANIFEST = "manifest.json"


class Model(ABC):
    """Something fitted. Subclasses add `prediction` in `transform` and (de)serialise themselves."""

    @abstractmethod
    def transform(self, df: DataFrame) -> DataFrame:
        """Return `df` with its result columns added (`prediction` for predictive models)."""

    def score(
        self, data: DataFrame | Snapshot, keep: Sequence[str], spark: SparkSession | None = None
    ) -> DataFrame:
        """The columns `keep` of the rows, and beside them what `transform` adds.

        Of a small snapshot it is computed at once, in this process, where `transform_arrow` can.

        Args:
            spark: Where a snapshot is read; the active session if left out.

        Raises:
            ConfigError: a column is missing, or an added one is among `keep`.
        """
        scored = self.score_by_spark(data, keep, spark)
        # A column of the rows that is called like one that is added would be taken for it.
        added = set(scored.columns) - set(keep)
        if not isinstance(data, Snapshot) or added & set(data.schema.names):
            return scored
        return here.computed(data, scored, self.transform_arrow)

    def score_by_spark(
        self, data: DataFrame | Snapshot, keep: Sequence[str], spark: SparkSession | None
    ) -> DataFrame:
        """`score` by Spark."""
        need_columns(data, keep)
        df = as_frame(data, spark)
        scored = self.transform(df)
        replaced = {*SCORES, DECISION} - set(keep)
        added = [name for name in scored.columns if name in replaced or name not in df.columns]
        return scored.select(*(f"`{name}`" for name in (*keep, *added)))

    def transform_arrow(self, table: pa.Table) -> pa.Table | None:
        """What `transform` does, for an Arrow table in this process, without Spark.

        Returns:
            None where the model takes Spark, or worker processes of its own; that does not depend
            on the rows.
        """
        return None

    @abstractmethod
    def _write(self, folder: Path) -> None:
        """Write the fitted state as files into the existing, empty `folder`."""

    @classmethod
    @abstractmethod
    def _read(cls, folder: Path) -> Self:
        """Restore the model from the files that `_write` made; hashes are checked already."""

    def save(self, folder: str | Path) -> None:
        """Write the model to `folder`, replacing a model that is there."""
        target = Path(folder)
        temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
        temporary.mkdir(parents=True)
        try:
            self._write(temporary)
            manifest = {
                "format": FORMAT,
                "class": f"{type(self).__module__}:{type(self).__qualname__}",
                "files": {name: _sha256(temporary / name) for name in _files(temporary)},
            }
            (temporary / MANIFEST).write_text(json.dumps(manifest, indent=2) + "\n")
            if target.exists():
                shutil.rmtree(target)
            temporary.replace(target)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)

    @classmethod
    def load(cls, folder: str | Path) -> Self:
        """Load a model and check its hashes.

        Raises:
            ModelError: no manifest, a missing or changed file, another format or class.
        """
        path = Path(folder)
        manifest = _manifest(path)
        found = _resolve(manifest["class"], path)
        if not issubclass(found, cls):
            raise ModelError(f"{path} holds a {found.__name__}, not a {cls.__name__}")
        for name, expected in manifest["files"].items():
            file = path / name
            if not file.is_file():
                raise ModelError(f"{path}: file {name} is missing; restore it or fit again")
            if _sha256(file) != expected:
                raise ModelError(f"{path}: file {name} was changed since it was saved; fit again")
        return found._read(path)


class Estimator(Protocol):
    """The settings of a supervised model; `fit` gives the model.

    What the model's `transform` adds depends on the task. Binary: `prediction`, the probability of
    class 1 (double). Regression: `prediction` (double). Multiclass: `prediction`, the most probable
    of the classes 0 to k - 1 (int), and `probability`, one double a class. Rows with a null, NaN or
    infinite feature get null.
    """

    @property
    def task(self) -> Task:
        """What is learnt."""

    def fit(
        self,
        train: DataFrame | Snapshot,
        features: Sequence[str],
        label: str,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> Model:
        """Learn `label` from `features` by the rows of `train`, read in `spark` if a snapshot."""


def _manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads((path / MANIFEST).read_text())
    except FileNotFoundError:
        raise ModelError(f"{path} is not a saved model: it has no {MANIFEST}") from None
    except json.JSONDecodeError as error:
        raise ModelError(f"{path / MANIFEST} is not JSON: {error}") from None
    if not isinstance(manifest, dict) or not {"format", "class", "files"} <= manifest.keys():
        raise ModelError(f"{path / MANIFEST} lacks format, class or files")
    if manifest["format"] != FORMAT:
        raise ModelError(f"{path} has format {manifest['format']}; this version reads {FORMAT}")
    return manifest


def _resolve(dotted: str, path: Path) -> type[Model]:
    module, _, name = dotted.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError):
        raise ModelError(f"{path} was saved by {dotted}, which cannot be imported") from None
    if not (isinstance(found, type) and issubclass(found, Model)):
        raise ModelError(f"{path} was saved by {dotted}, which is not a model")
    return found


def _files(folder: Path) -> list[str]:
    return sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file())


def _sha256(file: Path) -> str:
    digest = hashlib.sha256()
    with file.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
