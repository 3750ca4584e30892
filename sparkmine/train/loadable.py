"""Whether a network can be loaded again for scoring. Runs in the rank's process only."""

from __future__ import annotations

from typing import Any

import keras

from sparkmine.errors import ConfigError


def check(model: Any) -> None:
    """Refuse, before anything is trained, a Lambda layer that scoring would refuse.

    Its code lies in the file as bytes, which only a loader that trusts the file would run; a
    function by name comes back only where Keras knows it.

    Raises:
        ConfigError: there is one.
    """
    for layer in model._flatten_layers():
        if not isinstance(layer, keras.layers.Lambda):
            continue
        try:
            keras.layers.Lambda.from_config(layer.get_config(), safe_mode=True)
        except (TypeError, ValueError):
            raise ConfigError(
                f"layer {layer.name!r} is a Lambda whose function cannot be loaded again to score: "
                "use a layer of Keras, or a subclass of keras.layers.Layer with "
                "@keras.saving.register_keras_serializable()"
            ) from None
