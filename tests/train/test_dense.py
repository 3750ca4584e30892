"""Dense chains against hand-written arithmetic; against Keras they stand in test_fit.py."""

from __future__ import annotations

import numpy as np
import pytest

from sparkmine.train.dense import DenseChain, Step


def test_a_chain_by_hand() -> None:
    rng = np.random.default_rng(0)
    kernel, bias, scale, offset, last = (
        rng.normal(size=shape).astype(np.float32) for shape in [(4, 3), 3, 3, 3, (3, 2)]
    )
    chain = DenseChain(
        (
            Step("dense", (kernel, bias)),
            Step("scale", (scale, offset)),
            Step("relu"),
            Step("dense", (last,)),
            Step("softmax"),
        )
    )
    x = rng.normal(size=(5000, 4)).astype(np.float32)  # more than go through the layers at once
    hidden = np.maximum((x.astype(float) @ kernel + bias) * scale + offset, 0)
    powers = np.exp(hidden @ last)
    expected = powers / powers.sum(axis=1, keepdims=True)
    for one in (chain, DenseChain.from_bytes(chain.to_bytes())):
        output = one(x)
        assert output.dtype == np.float32
        np.testing.assert_allclose(output, expected, atol=1e-6)


@pytest.mark.filterwarnings("error")
def test_activations_do_not_overflow() -> None:
    extreme = np.array([[-200.0, 0.0, 200.0]], np.float32)
    np.testing.assert_allclose(DenseChain((Step("sigmoid"),))(extreme), [[0, 0.5, 1]], atol=1e-7)
    np.testing.assert_allclose(DenseChain((Step("softmax"),))(extreme), [[0, 0, 1]], atol=1e-7)
    np.testing.assert_array_equal(extreme, [[-200.0, 0.0, 200.0]])  # not written over
