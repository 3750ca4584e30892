"""sparkmine: distributed data mining on Spark, Delta and Horovod.

The names below are loaded on first use, so that `import sparkmine` is quick and pulls in
neither TensorFlow nor Horovod nor pyspark.ml.
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

_HOMES = {
    "session": "sparkmine.sessions:session",
    "Lake": "sparkmine.lake:Lake",
    "Snapshot": "sparkmine.lake:Snapshot",
    "Model": "sparkmine.model:Model",
    "Recipe": "sparkmine.recipe:Recipe",
    "FittedRecipe": "sparkmine.recipe:FittedRecipe",
    "ops": "sparkmine.recipe.operators",
    "clean": "sparkmine.clean",
    "mine": "sparkmine.mine",
    "selection": "sparkmine.selection",
    "train": "sparkmine.train",
    "dedup": "sparkmine.dedup",
    "profile": "sparkmine.evaluate.profile:profile",
    "testing": "sparkmine.testing",
    "SparkmineError": "sparkmine.errors:SparkmineError",
    **{
        name: f"sparkmine.recipe.selectors:{name}"
        for name in (
            *("numeric", "categorical", "temporal", "text", "select", "starts_with", "matches"),
        )
    },
}

__all__ = ["__version__", *_HOMES]  # noqa: PLE0604 - all of them are strings


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'sparkmine' has no attribute {name!r}")
    module, _, attribute = home.partition(":")
    found = importlib.import_module(module)
    value = getattr(found, attribute) if attribute else found
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
