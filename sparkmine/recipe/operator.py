"""The `Operator` protocol: one class, one file of its family, one test.

`fit` is a generator. It yields the statistics that it needs, receives their answers, and
returns expressions over its input columns. A class that needs no statistics returns at once.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

from sparkmine.errors import RecipeError
from sparkmine.expr import Expr, Vocabulary
from sparkmine.recipe.block import BlockFunction
from sparkmine.recipe.columns import NUMBER, SPARK_VECTOR, ColumnInfo
from sparkmine.recipe.selectors import Selector, numeric, parse_selector
from sparkmine.stats import Stat

_REGISTRY: dict[str, type[Operator]] = {}


@dataclass(frozen=True)
class Outcome:
    """What a fitted operator does to a table.

    Attributes:
        outputs: Expressions over the columns at the operator's position, by output column.
        infos: What the output columns are.
        dropped: Columns that it removes.
        blocks: Matrix functions, by output column.
        details: Fitted values to show to a person, JSON.
        training: Expressions that take the place of `outputs` for the rows of the fit.
    """

    outputs: Mapping[str, Expr] = field(default_factory=dict)
    infos: Mapping[str, ColumnInfo] = field(default_factory=dict)
    dropped: tuple[str, ...] = ()
    blocks: Mapping[str, BlockFunction] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)
    training: Mapping[str, Expr] = field(default_factory=dict)

    @property
    def spark_vectors(self) -> list[str]:
        """Outputs whose lists are made vectors of `pyspark.ml` when a table is transformed."""
        infos = self.infos
        return [n for n in self.outputs if n in infos and infos[n].kind == SPARK_VECTOR]


# See `Vocabulary.extended`: before, after, the first new number.
Extended = Callable[[Vocabulary, Vocabulary, int], Vocabulary]
Fitting = Generator[list[Stat], list[Any], Outcome]


@dataclass(frozen=True, kw_only=True)
class Operator(ABC):
    """Base of all operators; fields are parameters.

    Attributes:
        columns: The columns it works on.
        output: Template of the output's name, such as `{}_bucket`; None replaces the column.
    """

    columns: Selector = field(default_factory=numeric)
    output: str | None = None
    # True where every result is a fill or an affine map of its own column (see `stats.derive`):
    # then what operators behind it ask for is known from the scan that serves this one.
    derivable: ClassVar[bool] = False
    # Its parameters in the manual's YAML example; by default its columns.
    example: ClassVar[str] = ""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if inspect.isabstract(cls) or cls.__name__.startswith("_"):
            return
        if not cls.__doc__:
            raise TypeError(
                f"operator {cls.__name__} needs a docstring: the manual is made of them"
            )
        dotted = cls.dotted()
        # A dataclass with slots would be made twice; ours are made once, so a repeat is a clash.
        if dotted in _REGISTRY:
            raise TypeError(f"operator {dotted} is defined twice")
        _REGISTRY[dotted] = cls

    @classmethod
    def dotted(cls) -> str:
        """`module:Class`, by which `operator_named` finds it."""
        return f"{cls.__module__}:{cls.__qualname__}"

    @abstractmethod
    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        """Yield lists of stats, receive lists of answers, return the outcome."""

    @abstractmethod
    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        """Before the fit: columns that it will write, and columns that it will surely remove.

        Of columns whose names only the data tells, one is enough to stand for them.
        """

    def continued(self, previous: Outcome, outcome: Outcome, extended: Extended) -> Outcome:
        """What an update gives: the new outcome, unless something of the previous one must stay.

        Args:
            extended: `Vocabulary.extended`, for those of any size.
        """
        return outcome

    @property
    def reads(self) -> tuple[str, ...]:
        """Columns beside the selected ones whose values it needs."""
        return ()

    @property
    def asks(self) -> int:
        """How often `fitting` asks for statistics, one scan after the other; for the plan."""
        return 1

    def output_name(self, column: str) -> str:
        return column if self.output is None else self.output.format(column)

    def parameters(self) -> dict[str, Any]:
        """The fields as JSON."""
        values = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        return {k: str(v) if isinstance(v, Selector) else v for k, v in values.items()}


@dataclass(frozen=True, kw_only=True)
class ColumnOperator(Operator):
    """An operator that treats each of its columns alike and apart.

    Subclasses define `fit(column)`: a generator that yields one stat at a time and returns an
    expression, or a plain function that returns it.
    """

    kind: ClassVar[str] = NUMBER

    @abstractmethod
    def fit(self, column: str) -> Any:
        """The expression for `column`, or a generator that returns it."""

    def info(self, column: str, fitted: Expr) -> ColumnInfo:
        """What the output column is."""
        return ColumnInfo(self.output_name(column), self.kind, None, (column,))

    def predicted(self, picked: Sequence[ColumnInfo]) -> tuple[list[ColumnInfo], tuple[str, ...]]:
        made = [ColumnInfo(self.output_name(c.name), self.kind, None, (c.name,)) for c in picked]
        return made, ()

    def fitting(self, picked: Sequence[ColumnInfo], label: str | None) -> Fitting:
        names = [column.name for column in picked]
        fitted = yield from in_step([self.fit(name) for name in names])
        outputs, infos = {}, {}
        for name, expr in zip(names, fitted, strict=True):
            info = self.info(name, expr)
            outputs[info.name], infos[info.name] = expr, info
        return Outcome(outputs=outputs, infos=infos)


def in_step(parts: Sequence[Any]) -> Generator[list[Stat], list[Any], list[Any]]:
    """Advance generators together, so that each round of all of them is one scan."""
    results: dict[int, Any] = {}
    waiting: dict[int, tuple[Any, Stat]] = {}

    def advance(index: int, part: Any, answer: Any) -> None:
        try:
            waiting[index] = (part, part.send(answer))
        except StopIteration as stop:
            results[index] = stop.value

    for index, part in enumerate(parts):
        if inspect.isgenerator(part):
            advance(index, part, None)
        else:
            results[index] = part
    while waiting:
        current, waiting = waiting, {}
        answers = yield [stat for _, stat in current.values()]
        for (index, (part, _)), answer in zip(current.items(), answers, strict=True):
            advance(index, part, answer)
    return [results[index] for index in range(len(parts))]


def operator_named(name: str) -> type[Operator]:
    """An operator class by its name, or by `module:Class` for a user's own.

    Raises:
        RecipeError: no such operator, or a name that two operators share.
    """
    if name in _REGISTRY:
        return _REGISTRY[name]
    found = [cls for dotted, cls in _REGISTRY.items() if dotted.split(":")[1] == name]
    if len(found) == 1:
        return found[0]
    if ":" in name:
        return _imported(name)
    known = sorted(dotted.split(":")[1] for dotted in _REGISTRY)
    raise RecipeError(f"no operator {name!r}; there are {', '.join(known)}")


def _imported(dotted: str) -> type[Operator]:
    import importlib

    module, _, name = dotted.partition(":")
    try:
        found = getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise RecipeError(f"operator {dotted!r} cannot be imported: {error}") from None
    if not (isinstance(found, type) and issubclass(found, Operator)):
        raise RecipeError(f"{dotted!r} is not an operator: derive it from ColumnOperator")
    return found


def operator_from(name: str, parameters: Mapping[str, Any]) -> Operator:
    """An operator from its name and parameters, as YAML and saved recipes have them.

    Raises:
        RecipeError: unknown operator or parameter, and what there is; a value of another type.
    """
    kind = operator_named(name)
    known = {f.name for f in dataclasses.fields(kind)}
    unknown = sorted(set(parameters) - known)
    if unknown:
        raise RecipeError(f"{name} has no parameter {unknown[0]!r}; it takes {sorted(known)}")
    values = dict(parameters)
    if "columns" in values and not isinstance(values["columns"], Selector):
        values["columns"] = parse_selector(values["columns"])
    try:
        return kind(**values)
    except (TypeError, ValueError) as error:  # a text where a number belongs, a missing parameter
        raise RecipeError(f"{name} cannot take {dict(parameters)}: {error}") from None


def safe_name(value: str) -> str:
    """A category as part of a column name: lower case letters, digits and underscores."""
    return re.sub(r"[^0-9a-z]+", "_", value.lower()).strip("_") or "empty"
