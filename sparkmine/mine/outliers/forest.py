"""Isolation trees: rows that few random cuts set apart are outliers.

Liu, Ting and Zhou, "Isolation Forest" (ICDM 2008). A tree is grown by scikit-learn from a random
sample of the rows, on an executor, and kept as arrays; scoring walks all rows down a tree at once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from sparkmine.mine.walking import Places, leaves

Floats = npt.NDArray[np.float64]

EULER = 0.5772156649015329


@dataclass(frozen=True, eq=False, kw_only=True)
class Forest:
    """Trees one after the other in the same arrays [nodes].

    Attributes:
        left, right: The children of a node, places in these arrays; -1 in a leaf.
        feature, threshold: A row goes left when its feature is at most the threshold.
        length: Of a leaf: its depth, and the mean depth that its rows would still be cut.
        roots: [trees].
        expected: The mean length of a path in a tree of that many rows.
    """

    left: Places
    right: Places
    feature: Places
    threshold: Floats
    length: Floats
    roots: Places
    expected: float

    def scores(self, rows: npt.NDArray[Any]) -> Floats:
        """2 to the minus mean path length over the expected one [n]: towards 1 for outliers."""
        # As scikit-learn cuts them.
        values = np.ascontiguousarray(rows, np.float32)
        total = np.zeros(len(values))
        nodes = (self.left, self.right, self.feature, self.threshold, self.roots)
        for place in leaves(*nodes, values):
            total += self.length[place]
        return np.exp2(-total / (len(self.roots) * self.expected))


def grow(rows: Floats, seed: int) -> dict[str, npt.NDArray[Any]]:
    """One tree of all `rows` [n, d], as arrays; it is cut to the depth log2(n)."""
    from sklearn.ensemble import IsolationForest

    fitted = IsolationForest(n_estimators=1, max_samples=len(rows), random_state=seed).fit(rows)
    tree = fitted.estimators_[0].tree_
    depth = np.zeros(tree.node_count)
    for node in range(tree.node_count):  # children come after their parents
        for child in (tree.children_left[node], tree.children_right[node]):
            if child >= 0:
                depth[child] = depth[node] + 1
    return {
        "left": tree.children_left.astype(np.int32),
        "right": tree.children_right.astype(np.int32),
        "feature": tree.feature.astype(np.int32),
        "threshold": tree.threshold.astype(np.float64),
        "length": depth + path_length(tree.n_node_samples),
    }


def joined(trees: Sequence[dict[str, npt.NDArray[Any]]], sample: int) -> Forest:
    """The trees as one forest; `sample` is the number of rows of each."""
    sizes = [len(tree["left"]) for tree in trees]
    roots = np.concatenate([[0], np.cumsum(sizes)[:-1]]).astype(np.int32)

    def children(side: str) -> Places:
        moved = [
            np.where(tree[side] >= 0, tree[side] + root, -1)
            for tree, root in zip(trees, roots, strict=True)
        ]
        return np.concatenate(moved).astype(np.int32)

    return Forest(
        left=children("left"),
        right=children("right"),
        feature=np.concatenate([tree["feature"] for tree in trees]),
        threshold=np.concatenate([tree["threshold"] for tree in trees]),
        length=np.concatenate([tree["length"] for tree in trees]),
        roots=roots,
        expected=float(path_length(np.array([sample]))[0]) or 1.0,
    )


def path_length(rows: npt.NDArray[Any]) -> Floats:
    """Mean depth of a leaf in a random tree of so many rows (Liu et al., equation 1)."""
    count = np.asarray(rows, np.float64)
    many = np.maximum(count, 3.0)
    found = 2.0 * (np.log(many - 1.0) + EULER) - 2.0 * (many - 1.0) / many
    return np.where(count <= 1, 0.0, np.where(count == 2, 1.0, found))
