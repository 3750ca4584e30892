"""Texts with near copies, and their clusters by brute force."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest


@pytest.fixture(scope="session")
def documents() -> Callable[..., list[str]]:
    return _documents


@pytest.fixture(scope="session")
def brute_force() -> Callable[..., dict[Any, Any]]:
    return _brute_force


@pytest.fixture(scope="session")
def alike() -> Callable[[str, str, int], float]:
    """The Jaccard similarity of the shingles of two texts."""

    def similarity(one: str, other: str, size: int) -> float:
        a, b = _shingles(one, size), _shingles(other, size)
        return len(a & b) / len(a | b)

    return similarity


def _documents(count: int, seed: int = 0) -> list[str]:
    """Random texts of 2 to 40 words, most of them changed copies of an earlier one."""
    rng = np.random.default_rng(seed)
    found: list[str] = []
    for number in range(count):
        if number % 3:
            chosen = found[max(number - int(rng.integers(1, 6)), 0)].split()
            for place in np.flatnonzero(rng.random(len(chosen)) < rng.random() * 0.25):
                chosen[place] = f"w{rng.integers(5000)}"
        else:
            chosen = [f"w{i}" for i in rng.integers(0, 5000, rng.integers(2, 40))]
        found.append(" ".join(chosen))
    return found


def _shingles(text: str | None, size: int) -> set[tuple[str, ...]]:
    words = re.findall(r"[^\W_]+", (text or "").lower())
    runs = zip(*(words[place:] for place in range(size)), strict=False)
    return set(runs) or ({tuple(words)} if words else set())


def _brute_force(texts: dict[Any, str | None], size: int, threshold: float) -> dict[Any, Any]:
    """The least id of the cluster of each id."""
    sets = {name: _shingles(text, size) for name, text in texts.items()}
    graph = nx.Graph()
    graph.add_nodes_from(texts)
    for a, b in itertools.combinations(texts, 2):
        if sets[a] and len(sets[a] & sets[b]) >= threshold * len(sets[a] | sets[b]):
            graph.add_edge(a, b)
    return {name: min(names) for names in nx.connected_components(graph) for name in names}
