"""What tells one function from another, alike in every process of the same Python.

Source text does not do: of a function typed at a prompt there is none, and of two closures of one
factory it is the same. The bytes of a pickle do not do either: they hold sets in any order and
numbers made up for classes. So a function is told by its compiled code, whatever file it is from
(comments and places of lines do not count), by the values that it has closed over, its defaults,
the arguments of a `functools.partial`, and by what its code names in its own module: functions,
classes and plain values there. Other modules count by their name alone.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.util
import json
import types
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from pathlib import Path, PurePath
from typing import Any

import numpy as np

from sparkmine.errors import ConfigError

_PLAIN = (type(None), bool, int, float, complex, str, bytes, range, slice, type(Ellipsis))
_GENERATED = {"__module__", "__dict__", "__weakref__", "__doc__"}
# Those of generators and arguments; the higher ones say how a file was compiled.
_FLAGS = 0x0FFF
# Whether two equal ones are one object depends on where the code came from.
_SHARED = (tuple, frozenset, types.CodeType)


def of_function(function: Callable[..., Any]) -> str:
    """Return a hash of what `function` does."""
    described = _Described(inner(function).__module__)(function)
    return hashlib.sha256(json.dumps(described).encode()).hexdigest()


def of_module(name: str) -> str:
    """Return a hash of the source of a module, which is not run.

    Raises:
        ConfigError: there is no such module here.
    """
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise ConfigError(f"module {name}: {error}") from None
    if spec is None:
        raise ConfigError(f"module {name}: the driver does not find it")
    reader = getattr(spec.loader, "get_source", None)  # also of what lies in a zip file
    source: str | bytes | None = None if reader is None else reader(name)
    if source is None and spec.origin is not None and Path(spec.origin).is_file():
        source = Path(spec.origin).read_bytes()
    text = source.encode() if isinstance(source, str) else source
    return hashlib.sha256(text or b"").hexdigest()


def inner(function: Callable[..., Any]) -> Any:
    """Return what a `functools.partial` or a bound method calls in the end."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif isinstance(function, types.MethodType):
            function = function.__func__
        else:
            return function if hasattr(function, "__qualname__") else type(function)


class _Described:
    """Turns values into JSON that is the same in every process."""

    def __init__(self, module: str | None) -> None:
        self._module = module  # the user's: what it defines counts
        self._seen: dict[int, int] = {}
        self._kept: list[Any] = []  # so that no id is given twice

    def __call__(self, value: Any) -> Any:
        if isinstance(value, (np.generic, PurePath)):
            return [type(value).__name__, str(value)]
        if isinstance(value, _PLAIN) and not isinstance(value, Enum):
            return [type(value).__name__, repr(value)]
        if isinstance(value, _SHARED):
            return self._structured(value)
        if id(value) in self._seen:
            return ["seen", self._seen[id(value)]]
        self._seen[id(value)] = len(self._seen)
        self._kept.append(value)
        return self._structured(value)

    def _structured(self, value: Any) -> Any:
        if isinstance(value, (tuple, list)):
            return [type(value).__name__, [self(one) for one in value]]
        if isinstance(value, (set, frozenset)):
            return ["set", sorted(json.dumps(self(one)) for one in value)]
        if isinstance(value, Mapping):
            return ["mapping", self._pairs(value.items())]
        if isinstance(value, np.ndarray) and value.dtype != object:
            digest = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
            return ["array", str(value.dtype), list(value.shape), digest]
        if isinstance(value, types.CodeType):
            constants = [self(one) for one in value.co_consts]
            names = [*value.co_names, *value.co_varnames, *value.co_freevars]
            return ["code", value.co_code.hex(), value.co_flags & _FLAGS, constants, names]
        if isinstance(value, types.FunctionType):
            return self._function(value)
        if isinstance(value, functools.partial):
            return ["partial", self(value.func), self(value.args), self(value.keywords)]
        if isinstance(value, types.MethodType):
            return ["method", self(value.__func__), self(value.__self__)]
        if isinstance(value, (staticmethod, classmethod)):
            return [type(value).__name__, self(value.__func__)]
        if isinstance(value, property):
            return ["property", self((value.fget, value.fset, value.fdel))]
        if "__wrapped__" in getattr(value, "__dict__", ()):  # by functools.cache and the like
            return ["wrapped", self(value.__wrapped__)]
        if isinstance(value, types.ModuleType):
            return ["module", value.__name__]
        if isinstance(value, type):
            return self._class(value)
        return self._object(value)

    def _function(self, function: types.FunctionType) -> Any:
        if not self._mine(function):
            return ["named", function.__module__, function.__qualname__]
        cells = [_content(cell) for cell in function.__closure__ or ()]
        named = set(_names(function.__code__)) & set(function.__globals__)
        return [
            "function",
            self(function.__code__),
            self(cells),
            self(function.__defaults__),
            self(function.__kwdefaults__),
            [[name, self(function.__globals__[name])] for name in sorted(named)],
        ]

    def _class(self, kind: type) -> Any:
        name = ["class", kind.__module__, kind.__qualname__]
        if not self._mine(kind):
            return name
        defined = {key: one for key, one in vars(kind).items() if key not in _GENERATED}
        return [*name, [self(base) for base in kind.__bases__], self._pairs(defined.items())]

    def _object(self, value: Any) -> Any:
        kind = self(type(value))
        if isinstance(value, Enum):
            return [kind, value.name]
        if hasattr(type(value), "get_config"):  # of Keras
            with contextlib.suppress(NotImplementedError):
                return [kind, self(value.get_config())]
        if is_dataclass(value):
            return [kind, [[one.name, self(getattr(value, one.name))] for one in fields(value)]]
        if self._mine(type(value)) and hasattr(value, "__dict__"):
            return [kind, self._pairs(vars(value).items())]
        return [kind, _pickled(value)]

    def _pairs(self, items: Any) -> list[Any]:
        ordered = sorted(items, key=lambda pair: repr(pair[0]))
        return [[self(key), self(one)] for key, one in ordered]

    def _mine(self, value: Any) -> bool:
        """Whether what `value` does is the user's: of the function's module, or of none."""
        module = getattr(value, "__module__", None)
        return module in (self._module, "__main__", None) or "<locals>" in value.__qualname__


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:  # a name that is not bound yet
        return None


def _names(code: types.CodeType) -> Iterator[str]:
    yield from code.co_names
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            yield from _names(constant)


def _pickled(value: Any) -> str | None:
    """Return a hash of what would travel to the ranks; None of what cannot, such as a lock."""
    from pyspark import cloudpickle

    try:
        packed: bytes = cloudpickle.dumps(value)  # type: ignore[no-untyped-call]
    except Exception:  # whatever the value's class raises
        return None
    return hashlib.sha256(packed).hexdigest()
