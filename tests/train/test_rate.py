"""The learning rate of a step, against Keras's own schedule and by hand."""

from __future__ import annotations

from typing import Any

import keras
import pytest

from sparkmine.errors import ConfigError
from sparkmine.train.rate import LearningRate


def test_half_a_cosine_as_keras_has_it() -> None:
    rate = LearningRate(base=0.1, schedule="cosine")
    reference = keras.optimizers.schedules.CosineDecay(0.1, decay_steps=40)
    for step in range(41):
        found = rate.at(step / 10, epochs=4, ranks=3)
        assert found == pytest.approx(float(reference(step)), abs=1e-8)


def test_scaled_and_warmed_up() -> None:
    rate = LearningRate(base=0.1, scale="linear", warmup_epochs=2, schedule="linear")
    found = [rate.at(epoch, epochs=6, ranks=4) for epoch in (0, 1, 2, 4, 6)]
    assert found == pytest.approx([0.1, 0.25, 0.4, 0.2, 0.0])
    root = LearningRate(base=0.1, scale="sqrt")
    assert root.at(3.3, epochs=6, ranks=4) == pytest.approx(0.2)
    assert not root.moves
    plain = LearningRate(base=0.1, warmup_epochs=1)
    assert [plain.at(epoch, epochs=6, ranks=4) for epoch in (0, 0.5, 2)] == [0.0, 0.05, 0.1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"base": 0.0}, "learning_rate=0.0: must be above 0"),
        ({"scale": "double"}, "scale_learning_rate='double': use one of none, linear, sqrt"),
        ({"schedule": "saw"}, "schedule='saw': use one of"),
        ({"warmup_epochs": -1.0}, "must not be negative"),
    ],
)
def test_mistakes_are_named(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        LearningRate(**{"base": 0.1, **settings})
