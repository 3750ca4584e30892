"""Classes by one linear or quadratic function each, made probabilities by a softmax."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from sparkmine.mine.supervised.blocks import BlockModel, Floats
from sparkmine.model import Task


@dataclass(frozen=True, eq=False, kw_only=True)
class LinearClasses(BlockModel):
    """The softmax of intercept + sum of weights times x, or times (x - centre)^2, for each class.

    Fields:
        kind: the task; of two classes the prediction is the probability of the second.
        weights: [k, d].
        intercepts: [k].
        centres: [k, d] for squares; empty for a linear function.
    """

    plain: ClassVar[tuple[str, ...]] = ("columns", "details", "kind")

    kind: Task = "multiclass"
    weights: Floats
    intercepts: Floats
    centres: Floats

    @property
    def task(self) -> Task:
        return self.kind

    def scores(self, rows: Floats) -> Floats:
        if self.centres.size:
            # Not by x^2, x and 1, which would cancel where a mean is large.
            margins = np.stack(
                [
                    ((rows - centre) ** 2) @ weights
                    for centre, weights in zip(self.centres, self.weights, strict=True)
                ],
                axis=1,
            )
        else:
            margins = rows @ self.weights.T
        margins += self.intercepts
        margins -= margins.max(axis=1, keepdims=True)
        found = np.exp(margins)
        found /= found.sum(axis=1, keepdims=True)
        return found if self.kind == "multiclass" else found[:, 1]
