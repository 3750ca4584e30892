"""Connected components against networkx, in rounds over tasks and in one task."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import networkx as nx
import numpy as np
import pytest

from sparkmine.dedup.components import components, label_frame, large_star, small_star, stars
from sparkmine.dedup.flow import Cut
from sparkmine.dedup.pieces import EDGES, SCHEMA, bucket_of, piece
from sparkmine.dedup.sets import UInts, mixed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def graph(seed: int = 3) -> tuple[UInts, UInts]:
    """Random trees, a long path, a star and a clique, under hashed names."""
    rng = np.random.default_rng(seed)
    pairs = [(i, i + 1) for i in range(60)]
    pairs += [(1000, i) for i in range(1001, 1200)]
    pairs += [(i, j) for i in range(2000, 2020) for j in range(i) if j >= 2000]
    pairs += [tuple(pair) for pair in rng.integers(3000, 4500, (700, 2)).tolist()]
    edges = np.array([pair for pair in pairs if pair[0] != pair[1]], np.uint64)
    rng.shuffle(edges)
    return mixed(edges[:, 0] + np.uint64(7)), mixed(edges[:, 1] + np.uint64(7))


def expected(a: UInts, b: UInts) -> dict[int, int]:
    """The least node of the component of every node that is not the least one itself."""
    found = nx.connected_components(nx.Graph(zip(a.tolist(), b.tolist(), strict=True)))
    return {node: min(nodes) for nodes in found for node in nodes if node != min(nodes)}


def labels_of(pairs: tuple[UInts, UInts]) -> dict[int, int]:
    return dict(zip(*(column.tolist() for column in pairs), strict=True))


def test_one_task_and_the_operations_themselves() -> None:
    a, b = graph()
    assert labels_of(stars(a, b)) == expected(a, b)
    u, v, changes, operations = a, b, 1, 0
    while changes:
        u, v, first = large_star(np.concatenate([u, v]), np.concatenate([v, u]))
        u, v, second = small_star(np.maximum(u, v), np.minimum(u, v))
        changes, operations = first + second, operations + 2
    assert labels_of((u, v)) == expected(a, b)
    # The paper finds about log n rounds of the two.
    assert operations <= 2 * np.log2(len(np.unique([a, b])))
    none = np.zeros(0, np.uint64)
    assert large_star(none, none)[2] == small_star(none, none)[2] == 0


@pytest.fixture
def edges(spark: SparkSession) -> Callable[[int], Cut]:
    def made(partitions: int) -> Cut:
        a, b = graph()
        parts = np.array_split(np.arange(len(a)), 12)
        rows = [piece(EDGES, len(p), (a[p], b[p])).to_pylist()[0] for p in parts]
        return Cut(spark.createDataFrame(rows, SCHEMA).repartition(partitions), EDGES)

    return made


@pytest.mark.parametrize(("partitions", "one_task"), [(1, 10_000), (5, 0)])
def test_rounds_over_tasks(edges: Callable[[int], Cut], partitions: int, one_task: int) -> None:
    labels, operations = components(edges(partitions), 16, one_task=one_task)
    frame = label_frame(labels)
    rows = frame.toArrow()
    found = [column.to_numpy().view(np.uint64) for column in rows.columns]
    assert len(np.unique(found[0])) == len(found[0])
    assert labels_of((found[0], found[1])) == expected(*graph())
    assert (operations > 0) == (one_task == 0)
    # The plan does not hold the rounds.
    assert frame._jdf.queryExecution().optimizedPlan().toString().count("\n") < 10
    assert bucket_of(np.array([0, 2**64 - 1], np.uint64), 16).tolist() == [0, 15]
