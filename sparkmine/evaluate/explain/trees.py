"""Models that are made of trees, in the forms that shap's TreeExplainer takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.evaluate.metrics import Floats
from sparkmine.mine.expression_model import ExpressionModel
from sparkmine.mine.scikit.model import ScikitLearnModel, predicted
from sparkmine.mine.supervised.blocks import matrix
from sparkmine.mine.supervised.tree_nodes import tree_of
from sparkmine.mine.supervised.trees_model import TreesModel
from sparkmine.model import Model
from sparkmine.stats.matrix import matrix_of


class Trees(Protocol):
    """What is needed of a model to explain it by its trees; it travels to the executors."""

    @property
    def name(self) -> str:
        """What the model is called in messages."""

    @property
    def task(self) -> str:
        """What it predicts."""

    @property
    def columns(self) -> tuple[tuple[str, int], ...]:
        """The features with the number of elements of each, in the order of the matrix."""

    def matrix(self, table: pa.Table) -> Floats:
        """Rows [n, d] of a table; NaN where the model gives no score."""

    def opened(self) -> OpenedTrees:
        """The model in this process."""


class OpenedTrees(Protocol):
    """A model of trees in a process."""

    def form(self) -> Any:
        """What TreeExplainer takes."""

    def scores(self, rows: Floats) -> Floats:
        """The model's numbers [n, k] for rows [n, d]."""

    def outputs(self, found: Floats) -> Floats:
        """What shap found of its outputs [..., outputs], for those of the model [..., k]."""


def trees_of(model: Model, task: str, table: pa.Table) -> Trees | None:
    """The trees of a model; None if it is not made of trees.

    Args:
        table: rows that it can score, for the lengths of arrays.
    """
    if isinstance(model, ScikitLearnModel):
        return EstimatorTrees(model=model)
    if isinstance(model, ExpressionModel) and task in ("binary", "regression"):
        lists = [
            name
            for name in sorted(model.expression.columns)
            if pa.types.is_list(table.schema.field(name).type)
        ]
        lengths = {name: pc.list_value_length(table.column(name)) for name in lists}
        widths = {name: pc.max(found).as_py() or 0 for name, found in lengths.items()}
        found = tree_of(model, "binary" if task == "binary" else "regression", widths)
        return None if found is None else NodeTrees(model=found)
    return NodeTrees(model=model) if isinstance(model, TreesModel) else None


@dataclass(frozen=True, kw_only=True)
class EstimatorTrees:
    """Trees of scikit-learn, which shap knows by themselves."""

    model: ScikitLearnModel

    @property
    def name(self) -> str:
        return type(self.model.fitted()).__name__

    @property
    def task(self) -> str:
        return self.model.task

    @property
    def columns(self) -> tuple[tuple[str, int], ...]:
        return tuple(zip(self.model.features, self.model.widths, strict=True))

    def matrix(self, table: pa.Table) -> Floats:
        names = self.model.features
        arrays = [table.column(name).combine_chunks() for name in names]
        usable = np.ones(table.num_rows, bool)
        for array in arrays:
            usable &= array.is_valid().to_numpy(zero_copy_only=False)
        rows = np.full((table.num_rows, sum(self.model.widths)), np.nan)
        if usable.any():
            found = matrix_of(names, [array.filter(pa.array(usable)) for array in arrays])
            if found.ragged is not None:
                raise found.ragged.error()
            rows[usable] = np.concatenate(found.parts, axis=1)
        return rows

    def opened(self) -> OpenedEstimator:
        return OpenedEstimator(model=self.model, fitted=self.model.fitted())


@dataclass(frozen=True, kw_only=True)
class OpenedEstimator:
    """An estimator of scikit-learn."""

    model: ScikitLearnModel
    fitted: Any

    def form(self) -> Any:
        return self.fitted

    def scores(self, rows: Floats) -> Floats:
        found = predicted(self.fitted, rows, self.model.task, self.model.classes)
        return found.reshape(len(rows), -1).astype(np.float64)

    def outputs(self, found: Floats) -> Floats:
        if self.model.task == "binary" or found.shape[-1] == 1:
            return found[..., -1:]
        assert self.model.classes is not None
        # A class that was not among the training rows has no values.
        whole = np.zeros((*found.shape[:-1], self.model.classes))
        whole[..., np.asarray(self.fitted.classes_, np.int64)] = found
        return whole


@dataclass(frozen=True, kw_only=True)
class NodeTrees:
    """Our own arrays of nodes: Spark ML's trees, forests and boosted trees."""

    model: TreesModel

    @property
    def name(self) -> str:
        return str(self.model.details.get("method", "TreesModel"))

    @property
    def task(self) -> str:
        return self.model.task

    @property
    def columns(self) -> tuple[tuple[str, int], ...]:
        return self.model.columns

    def matrix(self, table: pa.Table) -> Floats:
        arrays = [table.column(name).combine_chunks() for name, _ in self.columns]
        return matrix(arrays, [width for _, width in self.columns])

    def opened(self) -> NodeTrees:
        return self

    def form(self) -> dict[str, Any]:
        """shap's dictionary; a tree's places start at its root, and its values have its weight."""
        model = self.model
        # The sum of boosted trees is half the log-odds.
        factor, output = (2.0, "log_odds") if model.link == "sigmoid" else (1.0, "probability")
        ends = [*model.roots[1:].tolist(), len(model.left)]
        trees = []
        for root, end, weight in zip(model.roots.tolist(), ends, model.weights, strict=True):
            own = slice(root, end)
            inner = model.left[own] >= 0
            left, right = (
                np.where(inner, side[own] - root, -1) for side in (model.left, model.right)
            )
            trees.append(
                {
                    "children_left": left,
                    "children_right": right,
                    "children_default": left,
                    "features": np.where(inner, model.feature[own], -1),
                    "thresholds": model.threshold[own],
                    "values": model.value[own] * (weight * factor),
                    "node_sample_weight": np.ones(end - root),
                }
            )
        return {
            "trees": trees,
            "tree_output": "raw_value" if model.task == "regression" else output,
            "internal_dtype": np.float64,
            "input_dtype": np.float64,
        }

    def scores(self, rows: Floats) -> Floats:
        return self.model.scores(rows).reshape(len(rows), -1)

    def outputs(self, found: Floats) -> Floats:
        return found
