"""What can be trained: a configuration that builds a Keras model, or a function that does."""

from __future__ import annotations

import importlib
import inspect
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from sparkmine.errors import ConfigError
from sparkmine.train.models import fingerprint

if TYPE_CHECKING:
    import keras

    from sparkmine.recipe.columns import ColumnInfo
    from sparkmine.train.layout import Layout

Task = Literal["binary", "multiclass", "multilabel", "regression", "reconstruction", "generation"]
TASKS: tuple[str, ...] = get_args(Task)


class Network(ABC):
    """Describes a Keras model. Values are immutable and travel to the ranks.

    Attributes:
        max_length: Arrays may have any length up to it and are padded; None: all have one length.
    """

    task: Task | None
    classes: int | None
    max_length: int | None = None

    @abstractmethod
    def build(self, layout: Layout) -> keras.Model:
        """Return a model for batches of shape [rows, layout.width]. Runs on the ranks only."""

    @abstractmethod
    def identity(self) -> dict[str, Any]:
        """Return what tells this network from another, as JSON. Asked on the driver only."""

    def check(self, layout: Layout) -> None:
        """Check on the driver that the network can read these features.

        Raises:
            ConfigError: it cannot.
        """
        return

    def indices(self, columns: Sequence[ColumnInfo]) -> dict[str, int]:
        """Return the cardinality of those feature columns that are indices, not quantities.

        Raises:
            ConfigError: it is not known, or too large.
        """
        return {}


@dataclass(frozen=True, kw_only=True)
class FunctionNetwork(Network):
    """A user's function, given as an object or as `package.module:name`.

    The function takes no argument or the number of input columns. It may return a compiled
    model, whose loss and optimizer are then kept. Without `task`, the activation of the last
    layer decides: sigmoid is binary, softmax multiclass, anything else regression; several label
    columns are multilabel. The outputs of a `reconstruction` are the inputs.
    """

    function: Callable[..., Any] | str
    task: Task | None = None
    classes: int | None = None

    def __post_init__(self) -> None:
        if isinstance(self.function, str) and ":" not in self.function:
            raise ConfigError(f"model {self.function!r}: write it as 'package.module:function'")
        if self.task is not None and self.task not in TASKS:
            raise ConfigError(f"task {self.task!r}: use one of {', '.join(TASKS)}")

    def build(self, layout: Layout) -> keras.Model:
        import keras

        function = self._resolve()
        model = function(layout.width) if _takes_width(function) else function()
        if not isinstance(model, keras.Model):
            raise ConfigError(
                f"{self._name()} returned a {type(model).__name__}, not a keras.Model"
            )
        return model

    def identity(self) -> dict[str, Any]:
        if isinstance(self.function, str):
            source = fingerprint.of_module(self.function.partition(":")[0])
        else:
            source = fingerprint.of_function(self.function)
        return {"function": self._name(), "source": source, "task": self.task}

    def by_value(self) -> object | None:
        """Return the module that must travel with the function, if it has one.

        A function from a notebook or from a file beside a configuration cannot be imported on
        the executors, so its module's code is sent along.
        """
        if isinstance(self.function, str):
            return None
        module = sys.modules.get(fingerprint.inner(self.function).__module__ or "")
        root = "" if module is None else module.__name__.split(".")[0]
        known = {"", "sparkmine", "__main__"} | sys.stdlib_module_names
        return None if root in known else module

    def _name(self) -> str:
        if isinstance(self.function, str):
            return self.function
        called = fingerprint.inner(self.function)
        return f"{called.__module__ or '?'}:{called.__qualname__}"

    def _resolve(self) -> Callable[..., Any]:
        if not isinstance(self.function, str):
            return self.function
        module, _, name = self.function.partition(":")
        try:
            found = getattr(importlib.import_module(module), name)
        except (ImportError, AttributeError) as error:
            raise ConfigError(f"model {self.function}: {error}") from None
        if not callable(found):
            raise ConfigError(f"model {self.function} is not a function")
        return found


def _takes_width(function: Callable[..., Any]) -> bool:
    """Whether there is an argument by position; a `functools.partial` may leave named ones."""
    by_name = {inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD}
    return any(one.kind not in by_name for one in inspect.signature(function).parameters.values())
