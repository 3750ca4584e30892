"""The nodes of Spark ML's trees as NumPy arrays.

They live in the JVM as linked objects. To read them one by one takes some calls a node, of a
quarter of a millisecond each. Here Spark ML lays a tree out as it does to save it, and Jackson,
which Spark brings along, writes that as one text: four calls a tree, no job and no file.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from sparkmine.mine.walking import Places

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True, eq=False, kw_only=True)
class Nodes:
    """Trees one after the other in the same arrays [nodes].

    Fields:
        left, right: the children of a node, places in these arrays; -1 in a leaf.
        feature, threshold: a row goes left when its feature is at most the threshold.
        value: [nodes, values]: what a leaf says.
        roots: [trees].
    """

    left: Places
    right: Places
    feature: Places
    threshold: npt.NDArray[np.float64]
    value: npt.NDArray[np.float64]
    roots: Places


def nodes_of(trees: Sequence[Any], classes: int, spark: SparkSession) -> Nodes:
    """The nodes of fitted trees, JVM objects.

    Args:
        classes: how many there are: the values of a node are the shares that each has of the
            training rows' weight in it. 0 for regression trees: the value is the node's prediction.
    """
    jvm: Any = spark.sparkContext._jvm
    jackson = jvm.com.fasterxml.jackson
    mapper = jackson.databind.ObjectMapper()
    visible = getattr(jackson.annotation, "JsonAutoDetect$Visibility")
    kinds = jackson.annotation.PropertyAccessor
    mapper.setVisibility(kinds.ALL, visible.NONE)
    mapper.setVisibility(kinds.FIELD, visible.ANY)
    saved = getattr(jvm.org.apache.spark.ml.tree, "DecisionTreeModelReadWrite$NodeData$")
    layout = getattr(saved, "MODULE$")
    as_java = jvm.scala.jdk.javaapi.CollectionConverters.asJava
    parts: list[list[dict[str, Any]]] = [
        json.loads(mapper.writeValueAsString(as_java(layout.build(tree.rootNode(), 0)._1())))
        for tree in trees
    ]
    roots = np.cumsum([0, *map(len, parts)])
    every = [(node, root) for part, root in zip(parts, roots, strict=False) for node in part]

    def child(side: str) -> Places:
        found = [node[side] + root if node[side] >= 0 else -1 for node, root in every]
        return np.array(found, np.int32)

    splits = [node["split"] for node, _ in every]
    value = np.array(
        [node["impurityStats"] if classes else [node["prediction"]] for node, _ in every]
    )
    if classes:
        value = value / value.sum(axis=1, keepdims=True)
    return Nodes(
        left=child("leftChild"),
        right=child("rightChild"),
        feature=np.array([split["featureIndex"] for split in splits], np.int32),
        threshold=np.array(
            [(split["leftCategoriesOrThreshold"] or [0.0])[0] for split in splits], np.float64
        ),
        value=value,
        roots=roots[:-1].astype(np.int32),
    )
