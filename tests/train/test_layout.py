"""Columns to matrices, and the columns that are refused."""

from __future__ import annotations

import decimal
import json

import numpy as np
import pyarrow as pa
import pytest
from pyspark.sql import types as t

from sparkmine.errors import ConfigError, DataError
from sparkmine.train.layout import Feature, Layout, check_columns, list_width


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
    columns = (Feature("parts", length=2), Feature("whole"), Feature("flag"), Feature("money"))
    layout = Layout(columns=columns, labels=("y", "flag"), weight="whole")
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
    targets = np.array([[0, 1, 1], [1, 0, np.nan], [1, np.nan, 3]], np.float32)
    np.testing.assert_array_equal(layout.targets(table), targets)
    assert Layout.from_json(json.loads(json.dumps(layout.to_json()))) == layout


def test_padded_arrays_and_their_lengths_by_hand() -> None:
    arrays = [[1.0, 2.0], [], None, [3.0, 4.0, 5.0], [6.0]]
    table = pa.table({"a": [7, 8, 9, 10, 11], "steps": pa.array(arrays)})
    layout = Layout(columns=(Feature("steps", length=3, padded=True), Feature("a")))
    nan = np.nan
    expected = np.array(
        [
            [1, 2, 0, 2, 7],
            [0, 0, 0, 0, 8],
            [nan, nan, nan, nan, 9],
            [3, 4, 5, 3, 10],
            [6, 0, 0, 1, 11],
        ],
        np.float32,
    )
    assert layout.width == 5
    assert [(feature.name, start) for feature, start in layout.placed] == [("steps", 0), ("a", 4)]
    np.testing.assert_array_equal(layout.matrix(table), expected)
    # Slices of Arrow arrays keep the values around them.
    np.testing.assert_array_equal(layout.matrix(table.slice(1, 3)), expected[1:4])
    np.testing.assert_array_equal(layout.matrix(table.slice(2, 1)), expected[2:3])
    assert layout.matrix(table.slice(0, 0)).shape == (0, 5)
    # One number more of padding changes nothing but the room.
    longer = Layout(columns=(Feature("steps", length=4, padded=True), Feature("a")))
    np.testing.assert_array_equal(np.delete(longer.matrix(table), 3, axis=1), expected)


def test_padding_has_limits() -> None:
    layout = Layout(columns=(Feature("v", length=2, padded=True),))
    with pytest.raises(DataError, match="feature v: an array has 3 numbers, the network takes 2"):
        layout.matrix(pa.table({"v": [[1.0], [1.0, 2.0, 3.0]]}))
    with pytest.raises(DataError, match="feature v: needs arrays, found double"):
        layout.matrix(pa.table({"v": [1.0]}))
    two = Layout(columns=tuple(Feature(name, length=2, padded=True) for name in "vw"))
    table = pa.table({"v": [[1.0], [2.0], None], "w": [[3.0], [4.0, 5.0], [6.0]]})
    with pytest.raises(DataError, match="features v and w: their arrays differ in length in 1 row"):
        two.matrix(table)


def test_indices_are_checked() -> None:
    layout = Layout(columns=(Feature("shop", cardinality=3), Feature("words", length=2)))
    words = pa.array([[0, 9], [1, 9]])
    found = layout.matrix(pa.table({"shop": pa.array([2, None]), "words": words}))
    np.testing.assert_array_equal(found, [[2, 0, 9], [np.nan, 1, 9]])
    for wrong in (3.0, -1.0, 0.5):
        with pytest.raises(DataError, match=f"feature shop: .* 0 to 2, found 1 .* {wrong:g};"):
            layout.matrix(pa.table({"shop": [1.0, wrong], "words": words}))
    # 2^24 + 1 is no float32; it must not pass as its neighbour.
    large = Layout(columns=(Feature("shop", cardinality=1 << 24),))
    with pytest.raises(DataError, match="feature shop"):
        large.matrix(pa.table({"shop": [(1 << 24) + 1]}))


def test_arrays_of_other_lengths_are_refused() -> None:
    ragged = pa.table({"v": pa.array([[1.0, 2.0], [3.0]])})
    with pytest.raises(DataError, match="v: arrays have the lengths"):
        list_width(ragged, "v")
    layout = Layout(columns=(Feature("v", length=2),))
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
    check_columns(schema, ("a", "v"), ("y",))
    check_columns(schema, ("v",), ("y",), weight="a")
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
            check_columns(schema, features, (label,))
    with pytest.raises(ConfigError, match="labels named twice: y"):
        check_columns(schema, ("a",), ("y", "y"))
    with pytest.raises(ConfigError, match="the weight a is also a feature"):
        check_columns(schema, ("a",), ("y",), weight="a")
    with pytest.raises(ConfigError, match="weight name is string; it must be a number or boolean"):
        check_columns(schema, ("a",), ("y",), weight="name")
