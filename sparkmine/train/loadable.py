"""Whether a network can be loaded again for scoring. Runs in the rank's process only.

Keras finds a class of the user's own only where it has been registered in the process that loads.
So it must be registered by a module, which can be imported before; whatever is registered by a
notebook or within a function is gone when the fit ends, and the trained network with it.
"""

from __future__ import annotations

import contextlib
import importlib
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import keras

from sparkmine.errors import ConfigError
from sparkmine.train import loaded

# Keras finds what is in these by itself.
_KERAS = {"keras", "keras_cv", "keras_hub", "keras_nlp"}
_TO_DO = (
    "put it into a module that every executor can import (--py-files, or "
    "spark.sparkContext.addPyFile), decorated by @keras.saving.register_keras_serializable()"
)


def check(model: Any) -> dict[str, str]:
    """Refuse, before anything is trained, what a user's function made and scoring could not load.

    The model is saved and loaded once, untrained: whatever keeps it from coming back, a lambda, a
    layer that does not keep its arguments, is found now.

    Returns:
        The user's own classes and functions in the model by the names under which they are
        registered, and the modules that register them.

    Raises:
        ConfigError: one is not registered by a module, or cannot be made again.
    """
    _check_lambdas(model)
    with _uncompiled(model):
        try:
            found = list(_named(keras.saving.serialize_keras_object(model)))
        except Exception as error:  # whatever the user's get_config raises
            raise ConfigError(f"the model cannot be saved: {_told(error)}") from None
        custom = dict(_registered(name, called, model) for name, called in found)
        try:
            _try(model, custom)
        except Exception as error:  # whatever the user's classes raise
            raise ConfigError(
                f"the model cannot be loaded again to score: {_told(error)}"
            ) from None
    return custom


def _check_lambdas(model: Any) -> None:
    """Refuse a Lambda layer that scoring would refuse.

    Its code lies in the file as bytes, which only a loader that trusts the file would run; a
    function by name comes back only where Keras knows it.
    """
    for layer in model._flatten_layers():
        if not isinstance(layer, keras.layers.Lambda):
            continue
        try:
            keras.layers.Lambda.from_config(layer.get_config(), safe_mode=True)
        except (TypeError, ValueError):
            raise ConfigError(
                f"layer {layer.name!r} is a Lambda whose function cannot be loaded again to score: "
                "use a layer of Keras, or write a subclass of keras.layers.Layer: " + _TO_DO
            ) from None


@contextlib.contextmanager
def _uncompiled(model: Any) -> Iterator[None]:
    """Loss and metrics are not saved, so they may be anything."""
    compiled, model.compiled = model.compiled, False
    try:
        yield
    finally:
        model.compiled = compiled


def _named(config: Any) -> Iterator[tuple[str, str]]:
    """What a loader must find outside of Keras: the name to find it by, and its own."""
    if isinstance(config, (list, tuple)):
        for one in config:
            yield from _named(one)
    elif isinstance(config, dict):
        name, called = config.get("registered_name"), config.get("class_name")
        if called == "function":
            if not _of_keras(config):
                yield config["config"], config["config"].rpartition(">")[2]
        elif name is not None and str(config.get("module")).partition(".")[0] not in _KERAS:
            yield name, str(called)
        for one in config.values():
            yield from _named(one)


def _of_keras(function: dict[str, Any]) -> bool:
    if keras.saving.get_registered_object(function["config"]) is not None:
        return False
    try:
        keras.saving.deserialize_keras_object(function)
    except (TypeError, ValueError):
        return False
    return True


def _registered(name: str, called: str, model: Any) -> tuple[str, str]:
    """Return the registered name of a class or function, and the module that registers it."""
    found = keras.saving.get_registered_object(name)
    if found is not None and _of_module(found) is found:
        return name, found.__module__
    kinds = {type(layer).__name__: type(layer) for layer in model._flatten_layers()}
    original = None if found is not None else _of_module(kinds.get(called))
    what = _TO_DO
    if original is not None and keras.saving.get_registered_name(original) != called:
        what = (
            "the function of the model came here with a copy of it; name the function as "
            "'package.module:function', or import the class within it"
        )
    raise ConfigError(f"{called} of the model cannot be loaded again to score: {what}")


def _of_module(found: Any) -> Any:
    """Return what stands in the module of a class or function under its name, or None."""
    if found is None or found.__module__ == "__main__":
        return None
    try:
        there: Any = importlib.import_module(found.__module__)
        for name in found.__qualname__.split("."):
            there = getattr(there, name)
    except Exception:  # whatever the module's own code raises
        return None
    return there


def _try(model: Any, custom: dict[str, str]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / loaded.NETWORK
        model.save(path)
        loaded.read(path.read_bytes(), custom)


def _told(error: Exception) -> str:
    """The cause alone: Keras quotes whole configurations before it."""
    cause = str(error).rpartition("Exception encountered: ")[2].partition("Full object config")[0]
    return f"{type(error).__name__}: {cause[:500]}"
