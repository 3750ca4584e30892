"""What is to be linked, and how: frozen values that are checked without Spark.

The model is that of Fellegi and Sunter, "A Theory for Record Linkage" (JASA 1969): each
comparison sorts a pair into a level of agreement, a level weighs log2(m / u), where m is its
probability among pairs of one entity and u among others, and the weights are added.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparkmine.errors import ConfigError, ExpressionError, ExtraMissingError
from sparkmine.expr import Expr, parse

# Kind: how many columns it takes, its thresholds unless others are given, whether they ascend
# (distances) or descend (similarities), and whether frequent values weigh less by default.
_KINDS: dict[str, tuple[int, tuple[float, ...], int, bool]] = {
    "exact": (1, (), 0, False),
    "levenshtein": (1, (1, 2), 1, False),
    "damerau_levenshtein": (1, (1, 2), 1, False),
    "jaro_winkler": (1, (0.92, 0.88, 0.7), -1, False),
    "name": (1, (0.92, 0.85, 0.7), -1, True),
    "full_name": (2, (0.92, 0.85), -1, True),
    "company": (1, (0.95, 0.9, 0.8), -1, True),
    "words": (1, (0.75, 0.5, 0.3), -1, False),
    "email": (1, (0.92, 0.85), -1, False),
    "phone": (1, (1,), 1, False),
    "date": (1, (1, 2), 1, False),
    "postcode": (1, (1,), 1, True),
    "number": (1, (0.01, 0.1), 1, False),
}
KINDS = tuple(_KINDS)
_MAX_COMPARISONS = 30

Rule = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """How one column (of `full_name` two) of a pair is compared.

    Attributes:
        kind: One of `KINDS`; docs/dedup.md says what each does.
        columns: The column; of `full_name` the first name and the surname.
        thresholds: From the strictest to the loosest: distances for the kinds of Levenshtein,
            `phone`, `date` and `postcode`, relative differences for `number`, else similarities.
        term_frequency: Whether agreement in a rare value weighs more than in a frequent one; None
            for the kind's own choice.
    """

    kind: str
    columns: tuple[str, ...]
    thresholds: tuple[float, ...] | None = None
    term_frequency: bool | None = None

    def __post_init__(self) -> None:
        if self.kind not in _KINDS:
            raise ConfigError(
                f"comparison of {', '.join(self.columns)}: there is no kind {self.kind!r}; the "
                f"kinds are {', '.join(KINDS)}"
            )
        takes, given, direction, _ = _KINDS[self.kind]
        if len(self.columns) != takes:
            raise ConfigError(
                f"comparison {self.kind} takes {takes} column{'s' if takes > 1 else ''}, not "
                f"{list(self.columns)}"
            )
        if self.thresholds is None:
            return
        ordered = tuple(sorted(set(self.thresholds), reverse=direction < 0))
        if not given or not self.thresholds or ordered != self.thresholds:
            words = "no thresholds" if not given else "thresholds from the strictest to the loosest"
            raise ConfigError(f"{self.name}: {self.kind} takes {words}, not {self.thresholds}")
        low, high = min(ordered), max(ordered)
        if low <= 0 or (high >= 1 if given[0] < 1 else any(t != int(t) for t in ordered)):
            raise ConfigError(
                f"{self.name}: thresholds of {self.kind} are "
                f"{'between 0 and 1' if given[0] < 1 else 'whole numbers from 1'}, not {ordered}"
            )

    @property
    def name(self) -> str:
        """What reports call it."""
        return " and ".join(self.columns)

    @property
    def limits(self) -> tuple[float, ...]:
        """The thresholds that hold."""
        return _KINDS[self.kind][1] if self.thresholds is None else self.thresholds

    @property
    def weighs_rarity(self) -> bool:
        return _KINDS[self.kind][3] if self.term_frequency is None else self.term_frequency


@dataclass(frozen=True, kw_only=True)
class Training:
    """Where the probabilities come from.

    Attributes:
        rules: Columns whose agreement chooses pairs; expectation maximisation learns from each the
            m of the comparisons that do not use them. Every comparison needs a rule without it.
        certain: Columns; two rows that agree in all of one entry are one entity nearly always.
            They give the prior, the probability that two random rows are one entity.
        recall: Which share of the pairs of one entity `certain` finds, roughly.
        prior: The prior itself, instead of `certain` and `recall`.
        sample_pairs: Random pairs from which the u are counted.
        max_iterations, convergence: Of expectation maximisation; it ends when no probability
            changes by more than `convergence`.
    """

    rules: tuple[Rule, ...]
    certain: tuple[Rule, ...] = ()
    recall: float = 0.7
    prior: float | None = None
    sample_pairs: int = 1_000_000
    max_iterations: int = 50
    convergence: float = 1e-4

    def __post_init__(self) -> None:
        if not self.rules or not all(self.rules):
            raise ConfigError("training needs at least one rule of at least one column")
        if (self.prior is None) == (not self.certain):
            raise ConfigError("training needs either `certain` rules or the `prior` itself")
        for name, value in (("recall", self.recall), ("prior", self.prior)):
            if value is not None and not 0 < value <= 1:
                raise ConfigError(f"training: {name} is {value!r}; it is above 0 and at most 1")
        if self.sample_pairs < 1000 or self.sample_pairs > 100_000_000:
            raise ConfigError(
                f"training: sample_pairs is {self.sample_pairs}; it is 1,000 to 100,000,000"
            )
        if self.max_iterations < 1 or not 0 < self.convergence < 1:
            raise ConfigError("training: max_iterations is at least 1, convergence below 1")


@dataclass(frozen=True, kw_only=True)
class Linkage:
    """All settings of a search for records of one entity.

    Attributes:
        id: Column with a distinct value for each row.
        blocking: Rules; a pair is compared if it agrees in all parts of one. A part is a column or
            an SQL expression, over the values as they are compared (in lower case, say).
        threshold: Least match probability of a pair that is taken as one entity.
        max_pairs: The most pairs that the rules may give together.
        seed: Of the random pairs of the training.
    """

    id: str
    blocking: tuple[Rule, ...]
    comparisons: tuple[Comparison, ...]
    training: Training
    threshold: float = 0.95
    max_pairs: int = 100_000_000
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.blocking or not all(self.blocking):
            raise ConfigError(
                "blocking needs at least one rule of at least one column: without, every row "
                "would be compared with every other"
            )
        for rule in self.blocking:
            for part in rule:
                _parsed(part)
        if not 2 <= len(self.comparisons) <= _MAX_COMPARISONS:
            raise ConfigError(
                f"there are {len(self.comparisons)} comparisons; 2 to {_MAX_COMPARISONS} are needed"
            )
        if not 0 < self.threshold < 1:
            raise ConfigError(f"threshold is {self.threshold}; it is above 0 and below 1")
        if self.max_pairs < 1:
            raise ConfigError(f"max_pairs is {self.max_pairs}; it is at least 1")
        self._check_columns()
        self._check_training()

    def _check_columns(self) -> None:
        seen: dict[str, str] = {}
        for comparison in self.comparisons:
            for column in comparison.columns:
                if column == self.id:
                    raise ConfigError(f"the id {self.id!r} cannot be compared")
                if column in seen:
                    raise ConfigError(
                        f"column {column!r} is compared twice, as {seen[column]} and as "
                        f"{comparison.kind}: the weights are added, so it would count twice"
                    )
                seen[column] = comparison.kind

    def _check_training(self) -> None:
        for comparison in self.comparisons:
            if all(set(rule) & set(comparison.columns) for rule in self.training.rules):
                raise ConfigError(
                    f"every training rule uses {comparison.name}, so its probabilities cannot be "
                    "learnt: add a training rule without it"
                )

    @property
    def keys(self) -> tuple[tuple[Expr, ...], ...]:
        """The blocking rules as expressions."""
        return tuple(tuple(_parsed(part) for part in rule) for rule in self.blocking)

    @property
    def compared(self) -> dict[str, Comparison]:
        """The comparison of each compared column."""
        return {column: item for item in self.comparisons for column in item.columns}

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that are read but the id, each once."""
        blocked = [name for rule in self.keys for part in rule for name in sorted(part.columns)]
        trained = [name for rule in (*self.training.rules, *self.training.certain) for name in rule]
        return tuple(dict.fromkeys([*self.compared, *blocked, *trained]))


def check_installed() -> None:
    """Raise ExtraMissingError unless Splink and DuckDB can be imported."""
    import importlib.util

    missing = [name for name in ("splink", "duckdb") if importlib.util.find_spec(name) is None]
    if missing:
        raise ExtraMissingError(
            f"fuzzy records need {' and '.join(missing)}, which are not installed here: install "
            "the extra `link`, as in pip install 'sparkmine[link]'"
        )


def _parsed(text: str) -> Expr:
    try:
        return parse(text)
    except ExpressionError as error:
        raise ConfigError(f"blocking: {str(error).partition(': ')[2]}") from None
