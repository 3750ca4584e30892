"""Forests and boosted trees as arrays of nodes, without Spark ML."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np

from sparkmine.mine.supervised.blocks import BlockModel, Floats
from sparkmine.mine.supervised.nodes import Nodes
from sparkmine.mine.walking import Places, leaves
from sparkmine.model import Task


@dataclass(frozen=True, eq=False, kw_only=True)
class TreesModel(BlockModel):
    """The weighted sum of what the leaves say that a row ends in.

    Fields:
        kind: the task.
        link: `sigmoid` where the sum is half the log-odds of class 1, as boosting leaves it.
        left, right, feature, threshold, value, roots: the nodes, see `Nodes`.
        weights: [trees].
    """

    plain: ClassVar[tuple[str, ...]] = ("columns", "details", "kind", "link")

    kind: Task
    link: Literal["identity", "sigmoid"] = "identity"
    left: Places
    right: Places
    feature: Places
    threshold: Floats
    value: Floats
    roots: Places
    weights: Floats

    @classmethod
    def of(
        cls,
        nodes: Nodes,
        weights: Sequence[float],
        columns: tuple[tuple[str, int], ...],
        task: Task,
        details: dict[str, Any],
        link: Literal["identity", "sigmoid"] = "identity",
    ) -> Self:
        """The model of these trees."""
        return cls(
            kind=task,
            link=link,
            columns=columns,
            details=details,
            weights=np.asarray(weights, np.float64),
            **vars(nodes),
        )

    @property
    def task(self) -> Task:
        return self.kind

    def scores(self, rows: Floats) -> Floats:
        total = np.zeros((len(rows), self.value.shape[1]))
        nodes = (self.left, self.right, self.feature, self.threshold, self.roots)
        for weight, place in zip(self.weights, leaves(*nodes, rows), strict=True):
            total += weight * self.value.take(place, axis=0)
        if self.kind == "multiclass":
            return total
        found: Floats = total[:, 0]
        return 1.0 / (1.0 + np.exp(-2.0 * found)) if self.link == "sigmoid" else found
