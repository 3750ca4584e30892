"""A surrogate: a shallow tree that says in a few rules what a model does, and how truly.

The tree is grown by scikit-learn on the sample, with the model's own predictions as its target
(Craven and Shavlik, "Extracting tree-structured representations of trained networks", NIPS 1996).
What it is worth is measured on rows that it has not seen: the share of the variance of the
predictions that it reproduces (R²), and the share of the rows that it decides as the model does.
Where these are low, the model does not fit into so few rules, and they should not be read as its
reasons.

Cost: nothing beyond the sample; some seconds of one core for 100,000 rows of hundreds of columns.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.errors import ConfigError, DataError
from sparkmine.evaluate.explain.dependence import is_number, numbers
from sparkmine.evaluate.explain.features import ARRAYS, ONE_OF, Feature, words
from sparkmine.evaluate.explain.probe import Probe
from sparkmine.evaluate.measured import values_of
from sparkmine.evaluate.metrics import Floats
from sparkmine.evaluate.plain import PlainData

# Values of a column of texts that the tree may ask for.
_VALUES = 12


@dataclass(frozen=True, kw_only=True)
class Rule(PlainData):
    """One node of the tree, in the order of reading: a node, what holds below it, its other side.

    Fields:
        depth: 0 for the root.
        text: the condition under which a row comes here from the node above; empty for the root.
        share: of the rows.
        prediction: the mean of the model's predictions there; of a multiclass model the class.
        leaf: whether no other node follows below.
    """

    depth: int
    text: str
    share: float
    prediction: float
    leaf: bool


@dataclass(frozen=True, kw_only=True)
class Surrogate(PlainData):
    """The rules, and how truly they are the model's.

    Fields:
        r2: of the predictions on rows that the tree has not seen; None for classes.
        agreement: the share of these rows with the same decision; None for numbers.
        rows: that the tree was grown from; `held_out` that it was measured on.
    """

    depth: int
    rules: tuple[Rule, ...]
    r2: float | None
    agreement: float | None
    rows: int
    held_out: int


@dataclass(frozen=True, kw_only=True)
class SurrogateTree:
    """How to grow it.

    Fields:
        depth: questions on the way to a rule, at most.
        held_out: share of the sample that fidelity is measured on.
        threshold: from which probability on the decision is class 1 (binary).
        smallest: share of the rows that a rule has at least.
    """

    depth: int = 3
    held_out: float = 0.3
    threshold: float = 0.5
    smallest: float = 0.01

    def __post_init__(self) -> None:
        if not 1 <= self.depth <= 8:
            raise ConfigError(f"depth is {self.depth}; it must be 1 to 8")
        if not 0 < self.held_out < 1:
            raise ConfigError(f"held_out is {self.held_out}; it must be between 0 and 1")

    def __call__(self, probe: Probe) -> Surrogate:
        """Grow the tree on the probe's sample.

        Raises:
            DataError: fewer than ten rows.
        """
        from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

        if len(probe) < 10:
            raise DataError(f"a surrogate needs 10 rows; the sample has {len(probe)}")
        columns = [column for feature in probe.features for column in _columns(probe, feature)]
        matrix = np.column_stack([column.values for column in columns])
        classes = probe.task == "multiclass"
        target = probe.outputs.argmax(axis=1) if classes else probe.outputs[:, 0]
        # Rows are in the order of hashes: any part of them is a random one.
        seen = len(probe) - max(1, round(self.held_out * len(probe)))
        tree = (DecisionTreeClassifier if classes else DecisionTreeRegressor)(
            max_depth=self.depth, min_samples_leaf=max(1, int(self.smallest * seen)), random_state=0
        ).fit(matrix[:seen], target[:seen])
        found, truth = tree.predict(matrix[seen:]), target[seen:]
        r2, agreement = None, None
        if classes:
            agreement = float(np.mean(found == truth))
        else:
            spread = float(np.sum((truth - truth.mean()) ** 2))
            r2 = 1 - float(np.sum((truth - found) ** 2)) / spread if spread > 0 else None
        if probe.task == "binary":
            agreement = float(np.mean((found >= self.threshold) == (truth >= self.threshold)))
        return Surrogate(
            depth=self.depth,
            rules=tuple(_rules(tree, columns)),
            r2=r2,
            agreement=agreement,
            rows=seen,
            held_out=len(probe) - seen,
        )


@dataclass(frozen=True, kw_only=True)
class _Column:
    """Numbers [n] that the tree may cut; `yes` and `no` are said of a column of 0 and 1."""

    name: str
    values: Floats
    yes: str = ""
    no: str = ""

    def says(self, threshold: float, above: bool) -> str:
        if self.yes:
            return self.yes if above else self.no
        return f"{self.name} {'>' if above else '≤'} {words(float(f'{threshold:.4g}'))}"


def _columns(probe: Probe, feature: Feature) -> list[_Column]:
    """What the tree sees of a feature, in the values that are shown for it where there are."""
    shown = probe.shown.get(feature.name)
    if shown is not None and feature.kind != ARRAYS:
        return _values(feature.name, shown)
    if feature.kind == ONE_OF:
        return [
            _flag(feature.name, feature.value_of(name), numbers(column))
            for name, column in zip(
                feature.columns, probe.table.select(list(feature.columns)).columns, strict=True
            )
        ]
    return [found for name in feature.columns for found in _values(name, probe.table.column(name))]


def _values(name: str, column: pa.ChunkedArray) -> list[_Column]:
    if pa.types.is_list(column.type) or pa.types.is_large_list(column.type):
        if not is_number(column.type.value_type):
            return []
        matrix = values_of(column, name).astype(np.float64)
        return [
            _Column(name=f"{name}[{place}]", values=values) for place, values in enumerate(matrix.T)
        ]
    if pa.types.is_struct(column.type):
        return []
    if is_number(column.type):
        values = numbers(column)
        if set(np.unique(values)) == {0.0, 1.0}:
            return [_Column(name=name, values=values, yes=f"{name} = 1", no=f"{name} = 0")]
        return [_Column(name=name, values=values)]
    if pa.types.is_boolean(column.type):
        return [_Column(name=name, values=numbers(column), yes=name, no=f"not {name}")]
    texts: list[Any] = column.to_pylist()
    return [
        _flag(name, words(value), np.array([text == value for text in texts], np.float64))
        for value, _ in Counter(texts).most_common(_VALUES)
    ]


def _flag(name: str, value: str, values: npt.NDArray[np.float64]) -> _Column:
    return _Column(name=name, values=values, yes=f"{name} is {value}", no=f"{name} is not {value}")


def _rules(tree: Any, columns: list[_Column]) -> list[Rule]:
    """The nodes of scikit-learn's tree, each with the condition that leads to it."""
    nodes, whole = tree.tree_, float(tree.tree_.n_node_samples[0])
    found = []
    waiting = [(0, 0, "")]
    while waiting:
        node, depth, text = waiting.pop()
        value = nodes.value[node][0]
        leaf = nodes.children_left[node] < 0
        classes = getattr(tree, "classes_", None)
        found.append(
            Rule(
                depth=depth,
                text=text,
                share=float(nodes.n_node_samples[node]) / whole,
                prediction=float(value[0] if classes is None else classes[value.argmax()]),
                leaf=bool(leaf),
            )
        )
        if not leaf:
            column, cut = columns[nodes.feature[node]], float(nodes.threshold[node])
            # The last one in is read first.
            waiting.append((nodes.children_right[node], depth + 1, column.says(cut, above=True)))
            waiting.append((nodes.children_left[node], depth + 1, column.says(cut, above=False)))
    return found
