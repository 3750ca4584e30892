"""Columns to matrices, and the columns that are refused."""

from __future__ import annotations

import decimal

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import types as t

from sparkmine.errors import ConfigError, DataError
from sparkmine.train.layout import Layout, check_columns, list_width


def test_matrix_by_hand() -> None:
    table = pa.table(
        {
            "whole": pa.array([1, None, 3], pa.int64()),
            "flag": pa.array([True, False, None]),
            "money": pa.array([decimal.Decimal("1.25"), None, decimal.Decimal("-2.50")]),
            "parts": pa.array([[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]),
            "y": pa.array([0, 1, 1], pa.int8()),
        }
    )
    layout = Layout(features=("parts", "whole", "flag", "money"), widths=(2, 1, 1, 1), label="y")
    expected = np.array(
        [
            [0.1, 0.2, 1, 1, 1.25],
            [0.3, 0.4, np.nan, 0, np.nan],
            [0.5, 0.6, 3, np.nan, -2.5],
        ],
        dtype=np.float32,
    )
    matrix = layout.matrix(table)
    assert matrix.dtype == np.float32
    assert matrix.flags.c_contiguous
    np.testing.assert_array_equal(matrix, expected)
    np.testing.assert_array_equal(layout.matrix(table.slice(1)), expected[1:])
    np.testing.assert_array_equal(layout.labels(table), np.array([0, 1, 1], np.float32))


def test_arrays_of_other_lengths_are_refused() -> None:
    ragged = pa.table({"v": pa.array([[1.0, 2.0], [3.0]])})
    with pytest.raises(DataError, match="v: arrays have the lengths"):
        list_width(ragged, "v")
    layout = Layout(features=("v",), widths=(2,))
    with pytest.raises(DataError, match="v: needs arrays of 2 numbers"):
        layout.matrix(ragged)
    with pytest.raises(DataError, match="1 null arrays"):
        layout.matrix(pa.table({"v": pa.array([[1.0, 2.0], None])}))


def test_columns_are_checked() -> None:
    schema = t.StructType(
        [
            t.StructField("a", t.DoubleType()),
            t.StructField("v", t.ArrayType(t.FloatType())),
            t.StructField("name", t.StringType()),
            t.StructField("y", t.IntegerType()),
        ]
    )
    check_columns(schema, ("a", "v"), "y")
    for features, label, text in [
        ((), "y", "features is empty"),
        (("a", "b"), "y", "columns missing: b; the data has a, name, v, y"),
        (("a", "a"), "y", "named twice: a"),
        (("a", "name"), "y", r"not numbers: name \(string\)"),
        (("a", "y"), "y", "the label y is also a feature"),
        (("a",), "name", "label name is string"),
        (("a",), "v", "label v is array<float>"),
    ]:
        with pytest.raises(ConfigError, match=text):
            check_columns(schema, features, label)
