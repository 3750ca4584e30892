"""Orders of rows: `column` or `column desc`, a name that has other signs in backticks."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from sparkmine.dedup.comparable import comparable
from sparkmine.errors import ConfigError
from sparkmine.expr.columns import quoted

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_ORDER = re.compile(r"^\s*(?:`((?:[^`]|``)+)`|([^\s`]+))(?:\s+(asc|desc))?\s*$", re.IGNORECASE)


def ordered(df: DataFrame, order_by: Sequence[str]) -> list[tuple[Column, bool]]:
    """The columns of an order, and whether each descends.

    Raises:
        ConfigError: a term that cannot be read, or a column that is not there.
    """
    terms = [_parsed(term) for term in order_by]
    check_there(df, [name for name, _ in terms])
    return [(orderable(df, name), down) for name, down in terms]


def orderable(df: DataFrame, name: str) -> Column:
    """A column in a type that Spark orders."""
    from pyspark.sql import functions as F

    return comparable(F.col(quoted(name)), df.schema[name].dataType)


def check_there(df: DataFrame, names: Sequence[str]) -> None:
    """Raise ConfigError unless these are columns of the rows."""
    for name in names:
        if name not in df.columns:
            raise ConfigError(f"deduplication reads column {name!r}; the table has {df.columns}")


def _parsed(term: str) -> tuple[str, bool]:
    found = _ORDER.match(term)
    if not found:
        raise ConfigError(f"order {term!r}: write a column, or a column and desc")
    name = found.group(1).replace("``", "`") if found.group(1) else found.group(2)
    return name, (found.group(3) or "asc").lower() == "desc"
