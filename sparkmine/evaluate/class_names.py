"""Which labels the names of several classes stand for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from sparkmine.errors import ConfigError
from sparkmine.evaluate.bags import Rows


def labels_of(
    names: Sequence[str], probabilities: int | None, occurring: Iterable[Any]
) -> tuple[Any, ...]:
    """The labels [k] in the order of their names: 0 to k - 1, or the names where labels are texts.

    A class may have a name and no row.

    Args:
        probabilities: How many the models give each row; None where they give classes.
        occurring: Classes that rows have.

    Raises:
        ConfigError: a class has no name, or a probability has none.
    """
    there = set(occurring)
    texts = any(isinstance(one, str) for one in there)
    labels: tuple[Any, ...] = tuple(names) if texts else tuple(range(len(names)))
    if probabilities is not None and probabilities != len(labels):
        raise ConfigError(
            f"classes has {len(names)} names ({', '.join(names)}), and the models give "
            f"probabilities of {probabilities} classes; name them all, in order"
        )
    unnamed = sorted(there - set(labels), key=str)
    if unnamed:
        raise ConfigError(
            f"classes has {len(names)} names ({', '.join(names)}), and there are rows of class "
            f"{', '.join(map(str, unnamed[:5]))}; name all classes, in order"
        )
    return labels


def labels_in(names: Sequence[str], rows: Rows) -> tuple[Any, ...]:
    """`labels_of` these rows."""
    columns = [np.asarray(found) for found in (rows.labels, *rows.predictions.values())]
    lengths = [column.shape[1] for column in columns if column.ndim == 2]
    occurring: set[Any] = set()
    for column in columns:
        if column.ndim == 1:
            plain = column.dtype == object
            occurring |= set((column if plain else np.unique(column)).tolist())
    # Nulls are told of, with the rows that have them, where the rows are checked.
    return labels_of(names, lengths[0] if lengths else None, occurring - {None})
