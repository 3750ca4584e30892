"""Index columns as vectors that are learnt.

An index (a shop, a word) has no order and no distance, so a network must not read it as a
quantity. An embedding looks up a row of a table with one row per value, and trains the table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from sparkmine.recipe.columns import ColumnInfo
    from sparkmine.train.layout import Feature

# float32, in which indices travel, is exact up to here.
LARGEST = 1 << 24
_WIDEST = 50


def default_width(cardinality: int) -> int:
    """Return how many numbers a vector has where nobody says: half the values, at most 50."""
    return min(_WIDEST, (cardinality + 1) // 2)


def index_columns(
    network: str,
    columns: Sequence[ColumnInfo],
    embeddings: Mapping[str, int],
    cardinalities: Mapping[str, int],
) -> dict[str, int]:
    """Return the cardinality of every index column among `columns`.

    Index columns are those that a recipe noted as such, and those named in `embeddings` or
    `cardinalities`. A given cardinality counts more than a noted one.

    Raises:
        ConfigError: a name that is no feature, a cardinality that is unknown or too large.
    """
    from sparkmine.recipe.columns import BUCKET, INDEX

    given = {**embeddings, **cardinalities}
    unknown = sorted(set(given) - {column.name for column in columns})
    if unknown:
        raise ConfigError(
            f"{network} embeds {', '.join(unknown)}, which {'is' if len(unknown) == 1 else 'are'} "
            "not among the features"
        )
    found: dict[str, int] = {}
    for column in columns:
        if column.kind != INDEX and column.name not in given:
            continue
        noted = column.cardinality if column.kind in (INDEX, BUCKET) else None
        cardinality = cardinalities.get(column.name, noted)
        if cardinality is None:
            raise ConfigError(
                f"{network}: the cardinality of {column.name} is not known; make the column by "
                f"OrdinalIndex, or give cardinalities={{'{column.name}': ...}}"
            )
        if not 1 <= cardinality <= LARGEST:
            raise ConfigError(
                f"{network}: column {column.name} has the cardinality {cardinality}; embeddings "
                f"take 1 to {LARGEST} values: index the most frequent ones, or hash them"
            )
        found[column.name] = cardinality
    return found


def embedded(matrix: Any, feature: Feature, start: int, embeddings: Mapping[str, int]) -> Any:
    """Return the vectors [rows, values, width] of one index column of `matrix`."""
    import keras

    assert feature.cardinality is not None
    indices = keras.ops.cast(matrix[:, start : start + feature.values], "int32")
    width = embeddings.get(feature.name, default_width(feature.cardinality))
    return keras.layers.Embedding(feature.cardinality, width)(indices)


def flat(matrix: Any, placed: Sequence[tuple[Feature, int]], embeddings: Mapping[str, int]) -> Any:
    """Return features as one matrix: numbers as they are, index columns as their vectors."""
    import keras

    numbers = [
        start + offset
        for feature, start in placed
        if feature.cardinality is None
        for offset in range(feature.values)
    ]
    parts = [keras.ops.take(matrix, numbers, axis=1)] if numbers else []
    for feature, start in placed:
        if feature.cardinality is not None:
            vectors = embedded(matrix, feature, start, embeddings)
            parts.append(keras.layers.Flatten()(vectors))
    return keras.layers.Concatenate()(parts) if len(parts) > 1 else parts[0]
