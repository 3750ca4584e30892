"""The hash of strings on Arrow is Spark's `hash`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from sparkmine.expr.murmur import murmur3

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

RNG = np.random.default_rng(7)


def words() -> list[str | None]:
    """Strings of 0 to 40 characters of one to four bytes, and a few nulls."""
    alphabet = [*"abz019 _-\x00\x7f", *"äßéøñ", *"漢字あ€", *"😀🂡"]
    found: list[str | None] = ["", "a", None, "Spark", "😀"]
    for size in RNG.integers(0, 40, 3000):
        found.append("".join(RNG.choice(alphabet, size)) if size != 13 else None)
    return found


def test_hashes_are_those_of_spark(spark: SparkSession) -> None:
    values = words()
    frame = spark.createDataFrame(pa.table({"n": range(len(values)), "s": values}))
    rows = frame.selectExpr("n", "hash(s) as h").orderBy("n").collect()
    expected = [row["h"] for row in rows]
    assert murmur3(pa.array(values)).tolist() == expected
    assert murmur3(pa.array(values, pa.large_string())).tolist() == expected
    assert murmur3(pa.array([*"xyz", *values])[3:]).tolist() == expected
    assert murmur3(pa.chunked_array([values[:100], values[100:]])).tolist() == expected


@pytest.mark.parametrize("values", [[], [""], [None], ["", None]])
def test_arrays_without_bytes(values: list[str | None]) -> None:
    # Spark: hash('') is 142593372 and hash(null) is the seed.
    expected = [42 if value is None else 142593372 for value in values]
    found = murmur3(pa.array(values, pa.string()))
    assert found.dtype == np.int32 and found.tolist() == expected
