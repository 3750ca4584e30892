"""The training step of a GAN, and its pictures. Runs in the rank's process only."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

# The momentum with which Radford et al. (2016) found that two networks do not swing.
_BETA_1 = 0.5
_SAMPLES = 16
# Pictures travel to the driver as one line of text.
_PICTURE_BYTES = 4 << 20


class Adversarial(keras.Model):
    """A generator and a discriminator as one Keras model, with an optimizer for each.

    `model.optimizer` is the generator's. The noise comes from one generator of random numbers,
    which is set by (seed, rank, epoch) as dropout's are.
    """

    def __init__(
        self,
        generator: keras.Model,
        discriminator: keras.Model,
        *,
        smoothing: float,
        output: str,
        shape: Sequence[int] | None,
    ) -> None:
        super().__init__(name="gan")
        self.generator = generator
        self.discriminator = discriminator
        self.discriminator_optimizer: Any = None
        self._smoothing = smoothing
        self._output = output
        self._picture_shape = shape
        self._noise = keras.random.SeedGenerator(0, name="noise")
        self._means = [
            keras.metrics.Mean(name=name)
            for name in ("loss", "generator_loss", "discriminator_loss")
        ]
        self.built = True

    @property
    def metrics(self) -> list[Any]:
        """The losses; Keras sets them back before every epoch."""
        return self._means

    def compile(self, optimizer: Any = None, loss: Any = None, **options: Any) -> None:
        """Keep `optimizer` for the generator, and one like it for the discriminator."""
        config = optimizer.get_config()
        if "beta_1" in config:
            config["beta_1"] = _BETA_1
        super().compile(optimizer=type(optimizer).from_config(config), **options)
        self.discriminator_optimizer = type(optimizer).from_config(config)

    def call(self, features: Any, training: bool = False) -> Any:
        """The discriminator's logit [rows, 1]."""
        return self.discriminator(features, training=training)

    def train_step(self, data: Any) -> dict[str, Any]:
        """Move the discriminator, then the generator, once each."""
        real = data[0]
        size = (tf.shape(real)[0], self.generator.input_shape[-1])
        made = self.generator(keras.random.normal(size, seed=self._noise), training=True)
        with tf.GradientTape() as tape:
            judged = self._loss(real, 1.0 - self._smoothing) + self._loss(made, 0.0)
        moved = self.discriminator.trainable_variables
        self.discriminator_optimizer.apply(tape.gradient(judged, moved), moved)
        noise = keras.random.normal(size, seed=self._noise)
        with tf.GradientTape() as tape:
            fooled = self._loss(self.generator(noise, training=True), 1.0)
        moved = self.generator.trainable_variables
        self.optimizer.apply(tape.gradient(fooled, moved), moved)
        for mean, value in zip(self._means, (judged + fooled, fooled, judged), strict=True):
            mean.update_state(value, sample_weight=tf.cast(size[0], tf.float32))
        return {mean.name: mean.result() for mean in self._means}

    def judge(self) -> keras.Model:
        """Return the discriminator with a probability as its output."""
        layers = [*self.discriminator.layers, keras.layers.Activation("sigmoid")]
        return keras.Sequential([keras.Input(self.discriminator.input_shape[1:]), *layers])

    def picture(self, seed: int) -> bytes | None:
        """Return samples side by side as PNG: of the same noise whenever it is called.

        None where the rows are no pictures.
        """
        if self._picture_shape is None:
            return None
        height, width, channels = self._picture_shape
        number = max(1, min(_SAMPLES, _PICTURE_BYTES // (height * width * channels)))
        across = int(np.ceil(np.sqrt(number)))
        number = number // across * across
        rng = np.random.default_rng(seed)
        noise = rng.normal(size=(number, self.generator.input_shape[-1])).astype(np.float32)
        made = np.asarray(self.generator(noise, training=False))
        tiles = self._bytes(made).reshape(-1, across, height, width, channels)
        grid = tiles.transpose(0, 2, 1, 3, 4).reshape(-1, across * width, channels)
        png: bytes = tf.io.encode_png(np.ascontiguousarray(grid)).numpy()
        return png

    def _loss(self, rows: Any, wanted: float) -> Any:
        logits = self.discriminator(rows, training=True)
        targets = tf.fill(tf.shape(logits), wanted)
        return tf.reduce_mean(
            tf.nn.sigmoid_cross_entropy_with_logits(labels=targets, logits=logits)
        )

    def _bytes(self, made: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Return values as 0 to 255: by the output's range, or by what was made."""
        low, high = {"sigmoid": (0.0, 1.0), "tanh": (-1.0, 1.0)}.get(
            self._output, (float(made.min()), float(made.max()))
        )
        scaled = (made - low) / max(high - low, 1e-9)
        return np.clip(scaled * 255.0 + 0.5, 0.0, 255.0).astype(np.uint8)
