"""GAN: one network invents rows, another tells them from real ones (Goodfellow et al. 2014)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

from sparkmine.errors import ConfigError
from sparkmine.train.models import head
from sparkmine.train.models.base import Network, Task

if TYPE_CHECKING:
    import keras

    from sparkmine.train.layout import Layout

Output = Literal["linear", "sigmoid", "tanh"]
_ACTIVATION = "leaky_relu"


@dataclass(frozen=True, kw_only=True)
class GAN(Network):
    """A generator of rows and a discriminator, trained in turns; it needs no label.

    The generator makes a row of features out of `latent` normal numbers, through the dense layers
    `hidden` and an `output` that fits how the features are scaled: `sigmoid` for 0 to 1, `tanh` for
    -1 to 1, `linear` for standardised ones. The discriminator has the same layers the other way
    round, with `dropout`. With `filters` both are convolutional (Radford et al. 2016): each of them
    doubles height and width of the picture, so `shape`, (height, width, channels), is needed; given
    without `filters`, it only says how sample pictures are drawn.

    A step moves the discriminator, then the generator, each by the mean of all ranks' gradients.
    The loss is the non-saturating one; real rows count as real by 1 - `smoothing` (Salimans et
    al. 2016). Adam's `beta_1` is 0.5 (Radford et al. 2016).

    `TrainedModel.transform` adds the discriminator's probability that a row is real, and
    `TrainedModel.generate` makes new rows.
    """

    latent: int = 64
    hidden: Sequence[int] = (128, 256)
    output: Output = "linear"
    shape: Sequence[int] | None = None
    filters: Sequence[int] = ()
    dropout: float = 0.3
    smoothing: float = 0.1
    task: Task = field(default="generation", init=False)
    classes: int | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", tuple(self.hidden))
        object.__setattr__(self, "filters", tuple(self.filters))
        head.check_sizes("GAN", "latent", [self.latent])
        head.check_sizes("GAN", "hidden", self.hidden)
        head.check_sizes("GAN", "filters", self.filters)
        head.check_dropout("GAN", self.dropout)
        if self.output not in get_args(Output):
            known = ", ".join(get_args(Output))
            raise ConfigError(f"GAN output={self.output!r}: use one of {known}")
        if not 0.0 <= self.smoothing < 0.5:
            raise ConfigError(f"GAN smoothing={self.smoothing}: at least 0 and below 0.5")
        if self.shape is not None:
            object.__setattr__(self, "shape", tuple(self.shape))
            head.check_sizes("GAN", "shape", self.shape)
            if len(self.shape) != 3 or self.shape[2] not in (1, 3):
                raise ConfigError(
                    f"GAN shape={list(self.shape)}: height, width, and 1 or 3 channels"
                )
        if self.filters:
            self._check_filters()

    def check(self, layout: Layout) -> None:
        if self.shape is not None and layout.width != self._pixels:
            raise ConfigError(
                f"GAN shape={list(self.shape)} needs {self._pixels} numbers a row, the features "
                f"have {layout.width}"
            )

    def build(self, layout: Layout) -> keras.Model:
        from sparkmine.train.adversarial import Adversarial

        parts = self._convolutional() if self.filters else self._dense(layout.width)
        return Adversarial(*parts, smoothing=self.smoothing, output=self.output, shape=self.shape)

    def identity(self) -> dict[str, Any]:
        return {"network": "GAN", **asdict(self)}

    @property
    def _pixels(self) -> int:
        assert self.shape is not None
        height, width, channels = self.shape
        return height * width * channels

    def _check_filters(self) -> None:
        factor = 2 ** len(self.filters)
        if self.shape is None or self.shape[0] % factor or self.shape[1] % factor:
            raise ConfigError(
                f"GAN filters={list(self.filters)} needs a shape whose height and width are "
                f"multiples of {factor}, not {self.shape and list(self.shape)}"
            )

    def _dense(self, width: int) -> tuple[Any, Any]:
        import keras

        mirrored = tuple(reversed(self.hidden))
        generator = [
            keras.Input((self.latent,), name="noise"),
            *head.hidden_layers(self.hidden, activation=_ACTIVATION),
            keras.layers.Dense(width, self.output, name="row"),
        ]
        discriminator = [
            keras.Input((width,), name="features"),
            *head.hidden_layers(mirrored, activation=_ACTIVATION, dropout=self.dropout),
            keras.layers.Dense(1, name="logit"),
        ]
        return _chain(generator, "generator"), _chain(discriminator, "discriminator")

    def _convolutional(self) -> tuple[Any, Any]:
        import keras

        assert self.shape is not None
        height, width, channels = self.shape
        factor = 2 ** len(self.filters)
        small = (height // factor, width // factor, self.filters[0])
        options = {"kernel_size": 4, "strides": 2, "padding": "same"}
        generator = [
            keras.Input((self.latent,), name="noise"),
            *head.hidden_layers([small[0] * small[1] * small[2]], activation=_ACTIVATION),
            keras.layers.Reshape(small),
        ]
        for filters in self.filters:
            generator += [keras.layers.Conv2DTranspose(filters, **options), _leaky()]
        generator += [
            keras.layers.Conv2D(channels, 3, padding="same", activation=self.output),
            keras.layers.Flatten(name="row"),
        ]
        discriminator = [
            keras.Input((self._pixels,), name="features"),
            keras.layers.Reshape((height, width, channels)),
        ]
        for filters in reversed(self.filters):
            discriminator += [keras.layers.Conv2D(filters, **options), _leaky()]
            discriminator.append(keras.layers.Dropout(self.dropout))
        discriminator += [keras.layers.Flatten(), keras.layers.Dense(1, name="logit")]
        return _chain(generator, "generator"), _chain(discriminator, "discriminator")


def _leaky() -> Any:
    import keras

    return keras.layers.Activation(_ACTIVATION)


def _chain(layers: list[Any], name: str) -> Any:
    import keras

    return keras.Sequential(layers, name=name)
