"""An estimator from its dotted path and parameters, checked before anything starts."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

from sparkmine.errors import ConfigError
from sparkmine.model import Task

_PROBABILITIES = (
    "wrap it in sklearn.calibration:CalibratedClassifierCV, or choose an estimator that has them"
)


def class_of(path: str) -> type:
    """The class that `package.module:Class` names.

    Raises:
        ConfigError: there is none, or it has not scikit-learn's interface.
    """
    module, _, name = path.partition(":")
    if not module or not name:
        raise ConfigError(
            f"estimator {path!r} must be a module and a class, such as "
            "sklearn.ensemble:RandomForestClassifier"
        )
    try:
        found = getattr(importlib.import_module(module), name)
    except ImportError as error:
        raise ConfigError(f"estimator {path}: {error}") from None
    except AttributeError:
        raise ConfigError(f"estimator {path}: module {module} has no {name}") from None
    needed = ("fit", "get_params", "set_params", "_get_param_names")
    if not isinstance(found, type) or not all(hasattr(found, method) for method in needed):
        raise ConfigError(f"estimator {path} is no class with scikit-learn's interface")
    return found


def build(path: str, parameters: Mapping[str, Any]) -> Any:
    """The estimator, not fitted yet.

    Of the values, a mapping with the key `estimator` (and `parameters`) is an estimator itself; so
    pipelines and ensembles can be written as JSON. A name with `__` is a parameter of an inner one.

    Raises:
        ConfigError: no such class or parameter.
    """
    kind = class_of(path)
    own = {name: value for name, value in parameters.items() if "__" not in name}
    names = kind._get_param_names()  # type: ignore[attr-defined]
    unknown = sorted(set(own) - set(names))
    if unknown:
        raise ConfigError(f"{path} has no parameter {', '.join(unknown)}; it has {names}")
    try:
        made = kind(**{name: _value(value) for name, value in own.items()})
        inner = {name: _value(value) for name, value in parameters.items() if name not in own}
        made.set_params(**inner)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
    return made


def check(path: str, made: Any, task: Task) -> None:
    """Raise ConfigError unless the estimator learns what the task asks for."""
    from sklearn.base import is_classifier, is_regressor

    if not hasattr(made, "predict"):
        raise ConfigError(f"{path} does not predict; it cannot be the model of a task")
    if task == "regression" and is_classifier(made):
        raise ConfigError(f"{path} is a classifier; the task is regression")
    if task != "regression" and is_regressor(made):
        raise ConfigError(f"{path} is no classifier; the task is {task}")
    if task != "regression" and not hasattr(made, "predict_proba"):
        raise ConfigError(
            f"{path}, with these parameters, gives no probabilities: {_PROBABILITIES}"
        )


def ready(made: Any, seed: int, threads: int) -> Any:
    """The estimator with this seed where it has none, and no more jobs than a task has cores."""
    changed = {}
    for name, value in made.get_params(deep=True).items():
        last = name.rpartition("__")[2]
        if last == "random_state" and value is None:
            changed[name] = seed
        if last == "n_jobs":
            changed[name] = threads
    return made.set_params(**changed)


def packages(path: str, parameters: Mapping[str, Any]) -> Iterator[str]:
    """The packages whose classes are named."""
    yield path.partition(":")[0].partition(".")[0]
    for value in parameters.values():
        yield from _inner(value)


def _inner(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        if isinstance(value.get("estimator"), str):
            yield from packages(value["estimator"], value.get("parameters", {}))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _inner(item)


def _value(value: Any) -> Any:
    if isinstance(value, Mapping) and isinstance(value.get("estimator"), str):
        unknown = sorted(set(value) - {"estimator", "parameters"})
        if unknown:
            raise ConfigError(
                f"{value['estimator']}: an inner estimator has `estimator` and `parameters`, "
                f"not {', '.join(unknown)}"
            )
        return build(value["estimator"], value.get("parameters", {}))
    if isinstance(value, list):
        # Steps of a pipeline are pairs; a list of plain values stays what it is.
        return [_pair(item) if isinstance(item, list | tuple) else _value(item) for item in value]
    return value


def _pair(item: list | tuple) -> Any:
    found = [_value(one) for one in item]
    named = len(found) > 1 and isinstance(found[0], str)
    return tuple(found) if named else found
