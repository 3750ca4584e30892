"""What a profile says of a table: plain data, to JSON and back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from sparkmine.errors import ConfigError
from sparkmine.evaluate.plain import PlainData
from sparkmine.evaluate.report import Histogram

WARNING, NOTE = "warning", "note"


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something to look at.

    Attributes:
        column: Its column; None for one about the whole table.
        code: Its kind, such as `constant` or `padded`.
        severity: `warning` or `note`.
        rows: How many rows it is about; None where it is about no rows.
        share: `rows` of all rows, 0 to 1.
        example: A value that shows it.
    """

    column: str | None
    code: str
    severity: str
    text: str
    rows: int | None = None
    share: float | None = None
    example: str | None = None


@dataclass(frozen=True, kw_only=True)
class TopValue:
    """A value and the rows that hold it."""

    value: str
    rows: int
    share: float


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """Of the finite values of a column of numbers, of the lengths of texts, or of times in seconds
    since 1970.

    Counts, mean, deviation (of the population), minimum and maximum are exact. Quantiles have a
    rank error of at most 0.5 %; `zeros` and `negatives` are exact; skewness, kurtosis (0 for a
    normal column), outliers and the histogram are counted from bins at most 0.025 % wide.

    Attributes:
        quantiles: By share: "0.05", "0.25", "0.5", "0.75", "0.95".
        below, above: Values beyond the quartiles by more than 3 interquartile ranges.
        histogram: None without values, or if there is one value only.
        left, right: Values below and above the histogram, which leaves out far tails.
    """

    count: int
    mean: float
    deviation: float
    minimum: float
    maximum: float
    quantiles: dict[str, float]
    zeros: int
    negatives: int
    skewness: float | None
    kurtosis: float | None
    below: int
    above: int
    histogram: Histogram | None
    left: int = 0
    right: int = 0


@dataclass(frozen=True, kw_only=True)
class ColumnProfile:
    """One column.

    Attributes:
        type: As Spark writes it.
        kind: `number`, `text`, `boolean`, `time` or `other`.
        missing: Rows without a value: null, or NaN in a column of numbers.
        nans: Those of them that are NaN.
        infinities: Values that are infinite; they are in no distribution.
        distinct: Different values, exact; None for `other` kinds, which are only counted.
        top: The most frequent values, exact counts.
        values: Of numbers and times.
        lengths: Of texts, in characters.
        key: All rows hold a value, and no two rows the same.
    """

    name: str
    type: str
    kind: str
    missing: int
    missing_share: float
    nans: int = 0
    infinities: int = 0
    distinct: int | None = None
    top: tuple[TopValue, ...] = ()
    values: Distribution | None = None
    lengths: Distribution | None = None
    key: bool = False
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Correlations:
    """Pearson's correlation of numbers and booleans, each pair over the rows that have both.

    None where a pair has fewer than two rows, or one of them is constant there.
    """

    columns: tuple[str, ...]
    matrix: tuple[tuple[float | None, ...], ...]

    def strongest(self, number: int) -> list[tuple[str, str, float]]:
        """Pairs by their absolute correlation, the strongest first."""
        found = [
            (self.columns[i], self.columns[j], value)
            for i, row in enumerate(self.matrix)
            for j, value in enumerate(row[:i])
            if value is not None
        ]
        return sorted(found, key=lambda pair: -abs(pair[2]))[:number]


@dataclass(frozen=True, kw_only=True)
class Change:
    """How one column moved; the changes are new minus old, None where one side has no such number.

    Attributes:
        psi: Population stability index over the buckets; None if the column is not comparable.
        buckets: What is compared: (label, old share, new share), the missing values among them.
    """

    column: str
    psi: float | None
    missing_share: float | None
    mean: float | None
    distinct: int | None
    buckets: tuple[tuple[str, float, float], ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class Drift:
    """What changed since another version; the columns that moved most first."""

    version: int | None
    rows: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class Profile(PlainData):
    """What one or two scans found in a table.

    Attributes:
        version: Of the table; None for a DataFrame.
        bytes: Of the files of that version; None for a DataFrame.
        scans: Scans of the table that it took.
        made: When, in ISO format, UTC.
    """

    name: str
    rows: int
    columns: tuple[ColumnProfile, ...]
    version: int | None = None
    bytes: int | None = None
    correlations: Correlations | None = None
    findings: tuple[Finding, ...] = ()
    drift: Drift | None = None
    scans: int = 1
    made: str = ""

    @property
    def keys(self) -> list[str]:
        """Columns that could be the table's key."""
        return [column.name for column in self.columns if column.key]

    def column(self, name: str) -> ColumnProfile:
        """One column.

        Raises:
            ConfigError: there is none of that name.
        """
        for column in self.columns:
            if column.name == name:
                return column
        raise ConfigError(
            f"the profile has no column {name!r}; it has {[one.name for one in self.columns]}"
        )

    def to_html(self, path: str | Path) -> Path:
        """Write one HTML file that loads nothing; its folder is made."""
        from sparkmine.evaluate.profile.page import render

        return render(self, path)
