"""A fitted k-means: centres, and what is known of their clusters."""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict, dataclass, fields
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import pyarrow as pa

from sparkmine.errors import ModelError
from sparkmine.mine.kmeans.profiles import Profile, profiles
from sparkmine.mine.kmeans.space import Array
from sparkmine.python_model import PythonModel, Scorer
from sparkmine.stats.matrix import usable_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

ADDED = {"cluster": "int", "distance": "double"}
_STATE, _ARRAYS = "kmeans.json", "kmeans.npz"
_BLOCK = 1 << 13


@dataclass(frozen=True, eq=False, kw_only=True)
class KMeansModel(PythonModel):
    """Centres, the largest cluster first.

    Attributes:
        features: The columns, numbers or lists of numbers.
        widths: Elements of each of them; together d.
        elements: A name for each of the d numbers.
        inertia: Sum of squared distances of the rows of the fit to their centres.
        iterations, converged: How the best start ended.
        seed: That of the fit.
        centres: [k, d]. k may be smaller than what was asked for: see `KMeans`.
        sizes: Rows of the fit in each cluster [k].
        mean, deviation: Of the rows of the fit [d].
    """

    features: tuple[str, ...]
    widths: tuple[int, ...]
    elements: tuple[str, ...]
    inertia: float
    iterations: int
    converged: bool
    seed: int
    centres: Array
    sizes: Array
    mean: Array
    deviation: Array

    @property
    def k(self) -> int:
        """How many clusters there are."""
        return len(self.centres)

    @property
    def rows(self) -> int:
        """Rows of the fit."""
        return int(self.sizes.sum())

    @property
    def standardised(self) -> Array:
        """Centres in deviations from the mean of all rows [k, d]; 0 for constant columns."""
        usual = np.where(self.deviation > 0, self.deviation, 1.0)
        away = np.where(self.deviation > 0, self.centres - self.mean, 0.0)
        return np.asarray(away / usual)

    def profiles(self, most: int = 5) -> list[Profile]:
        """The clusters in words: size, and the features by which each differs most."""
        return profiles(self.elements, self.sizes, self.centres, self.standardised, most)

    def transform(self, df: DataFrame) -> DataFrame:
        """`df` with `cluster` (int, from 0) and `distance` (double, to the cluster's centre).

        Both are null where a feature is null, NaN or infinite. Only the features go to Python.

        Raises:
            ConfigError: a feature is missing, or a column `cluster` or `distance` is there.
            DataError: lists of another length than those of the fit.
        """
        return super().transform(df)

    def scorer(self, spark: SparkSession) -> Scorer:
        return Scorer(
            features=self.features,
            columns=ADDED,
            opened=lambda: contextlib.nullcontext(self._assigned),
        )

    def assign(self, block: pa.Table | pa.RecordBatch) -> pa.StructArray:
        """Cluster and distance of the rows of an Arrow table or batch, without Spark."""
        batches = block.to_batches() if isinstance(block, pa.Table) else [block]
        found = [self._assigned([b.column(name) for name in self.features]) for b in batches]
        return pa.concat_arrays(found) if found else self._assigned([])

    def predict(self, rows: Array) -> tuple[Array, Array]:
        """Clusters [n] and distances [n] of rows [n, d] of finite numbers, in float64."""
        shift = self.mean
        centres = self.centres - shift
        squares = np.einsum("ij,ij->i", centres, centres)
        clusters, distances = np.zeros(len(rows), np.int32), np.zeros(len(rows))
        for begin in range(0, len(rows), _BLOCK):
            part = rows[begin : begin + _BLOCK] - shift
            labels = (squares - 2 * (part @ centres.T)).argmin(axis=1)
            part -= centres[labels]
            clusters[begin : begin + _BLOCK] = labels
            distances[begin : begin + _BLOCK] = np.sqrt(np.einsum("ij,ij->i", part, part))
        return clusters, distances

    def _assigned(self, arrays: list[pa.Array]) -> pa.StructArray:
        usable, values = usable_rows(self.features, self.widths, arrays)
        clusters, distances = np.zeros(len(usable), np.int32), np.zeros(len(usable))
        if len(values):
            clusters[usable], distances[usable] = self.predict(values)
        return pa.StructArray.from_arrays(
            [pa.array(clusters, mask=~usable), pa.array(distances, mask=~usable)], names=list(ADDED)
        )

    @cached_property
    def _plain(self) -> dict[str, Any]:
        state = {f.name: getattr(self, f.name) for f in fields(self)}
        return {name: value for name, value in state.items() if not isinstance(value, np.ndarray)}

    def describe(self, most: int = 5) -> dict[str, Any]:
        """Figures and profiles as JSON values."""
        return {
            "k": self.k,
            "rows": self.rows,
            "inertia": self.inertia,
            "iterations": self.iterations,
            "converged": self.converged,
            "profiles": [asdict(profile) for profile in self.profiles(most)],
        }

    def heat(self, most: int) -> dict[str, Any]:
        """The standardised centres of the features that differ most, for a picture, as JSON."""
        strength = np.abs(self.standardised).max(axis=0)
        shown = np.sort(np.argsort(-strength, kind="stable")[:most])
        return {
            "features": [self.elements[place] for place in shown],
            "means": np.round(self.standardised[:, shown], 3).tolist(),
        }

    def _write(self, folder: Path) -> None:
        (folder / _STATE).write_text(json.dumps(self._plain, indent=1) + "\n")
        np.savez(
            folder / _ARRAYS,
            centres=self.centres,
            sizes=self.sizes,
            mean=self.mean,
            deviation=self.deviation,
        )

    @classmethod
    def _read(cls, folder: Path) -> Self:
        try:
            state = json.loads((folder / _STATE).read_text())
            with np.load(folder / _ARRAYS, allow_pickle=False) as arrays:
                found = {name: arrays[name] for name in arrays.files}
            for name in ("features", "widths", "elements"):
                state[name] = tuple(state[name])
            return cls(**state, **found)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise ModelError(f"{folder} does not hold a k-means: {error}") from None
