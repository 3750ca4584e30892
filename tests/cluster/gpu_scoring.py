"""Submitted by the tests: score by a network on two executors, whose workers write down the GPU
that each was given."""

from __future__ import annotations

import sys
import time
from pathlib import Path

import keras
from gpu_layer import Noted

from sparkmine import session
from sparkmine.train import TrainedModel
from sparkmine.train.layout import Feature, Layout


def main(folder: str) -> None:
    spark = session("gpu scoring")
    layers = [Noted(folder), keras.layers.Dense(1, activation="sigmoid")]
    model = keras.Sequential([keras.Input((1,)), *layers])
    file = Path(folder) / "model.keras"
    model.save(file)
    for note in Path(folder).glob("worker-*"):  # of this process
        note.unlink()
    trained = TrainedModel(
        keras_file=file.read_bytes(),
        dense_file=None,
        generator_file=None,
        layout=Layout(columns=(Feature("x"),), labels=("y",)),
        task="binary",
        classes=2,
        history=[],
        epoch=0,
        data={},
        settings={},
        weights_hash="",
        custom={"tests>Noted": "gpu_layer"},
    )
    # Two tasks at once, on both executors; the driver is in the list, too.
    context = spark.sparkContext._jsc.sc()
    while len(context.statusTracker().getExecutorInfos()) < 3:
        time.sleep(0.1)
    frame = spark.range(0, 100, 1, 2).selectExpr("double(id) AS x")
    assert trained.transform(frame).where("prediction is null").count() == 0


if __name__ == "__main__":
    main(sys.argv[1])
