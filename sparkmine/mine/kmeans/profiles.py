"""Clusters in words: their size, and the features by which they differ most from all rows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sparkmine.mine.kmeans.space import Array

# Deviations below which a difference is not worth a word.
_NOTABLE = 0.25


@dataclass(frozen=True, kw_only=True)
class Trait:
    """A feature of a cluster: its mean there, and that in deviations from the mean of all rows."""

    feature: str
    mean: float
    deviations: float

    def __str__(self) -> str:
        word = "high" if self.deviations > 0 else "low"
        return f"{word} {self.feature} ({self.deviations:+.1f} sd)"


@dataclass(frozen=True, kw_only=True)
class Profile:
    """A cluster: its rows, their share, and its traits, the strongest first."""

    cluster: int
    size: int
    share: float
    text: str
    traits: tuple[Trait, ...]


def profiles(
    elements: Sequence[str], sizes: Array, centres: Array, standardised: Array, most: int
) -> list[Profile]:
    """A profile of each cluster, with at most `most` traits of a quarter deviation and more."""
    found = []
    for cluster, row in enumerate(standardised):
        order = np.argsort(-np.abs(row), kind="stable")[:most]
        traits = tuple(
            Trait(
                feature=elements[place],
                mean=float(centres[cluster, place]),
                deviations=float(row[place]),
            )
            for place in order
            if abs(row[place]) >= _NOTABLE
        )
        found.append(
            Profile(
                cluster=cluster,
                size=int(sizes[cluster]),
                share=float(sizes[cluster] / max(sizes.sum(), 1)),
                text=", ".join(map(str, traits)) or "as all rows",
                traits=traits,
            )
        )
    return found
