"""A network in a Python worker of Spark."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.train import loaded

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_a_worker_leaves_no_file(spark: SparkSession, tmp_path: Path) -> None:
    """AutoGraph writes one for each function, and Spark ends its workers by os._exit."""
    import keras

    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(3, activation="tanh")])
    model.save(tmp_path / loaded.NETWORK)
    content = (tmp_path / loaded.NETWORK).read_bytes()
    files = loaded.Files(
        keras=content,
        dense=None,
        custom={},
        digest=hashlib.sha256(content).hexdigest(),
        width=4,
    )
    rows = np.random.default_rng(0).normal(size=(7, 4)).astype(np.float32)

    def work(_: Iterable[int]) -> Iterator[tuple[Any, list[str], list[str], bool]]:
        import os
        import tempfile

        def left() -> list[str]:
            given = os.environ["SPARK_LOCAL_DIRS"].split(",")
            return [
                str(path) for folder in given for path in Path(folder).glob("sparkmine-network-*")
            ]

        before, tempfile.tempdir = tempfile.tempdir, str(tmp_path / "temporary")
        Path(tempfile.tempdir).mkdir()
        try:
            scores = files.forward(threads=1)(rows)
            kept = tempfile.tempdir == str(tmp_path / "temporary")
            yield scores, [p.name for p in Path(tempfile.tempdir).iterdir()], left(), kept
        finally:
            tempfile.tempdir = before

    ((scores, temporary, of_spark, kept),) = (
        spark.sparkContext.parallelize([0], 1).mapPartitions(work).collect()
    )
    np.testing.assert_allclose(scores, np.asarray(model(rows)), atol=1e-6)
    assert kept and temporary == [] and of_spark == []
