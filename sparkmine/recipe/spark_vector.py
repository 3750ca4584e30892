"""Lists of numbers as vectors of `pyspark.ml`, in Spark and in Arrow.

In Arrow a vector is the struct that Spark itself makes of one (`DataFrame.toArrow`): `type` is 1,
`values` holds all elements, `size` and `indices` are null. A vector cannot hold null; such an
element becomes NaN.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from pyspark.sql import Column

TYPE = pa.struct(
    [
        pa.field("type", pa.int8(), nullable=False),
        pa.field("size", pa.int32()),
        pa.field("indices", pa.list_(pa.field("element", pa.int32(), nullable=False))),
        pa.field("values", pa.list_(pa.field("element", pa.float64(), nullable=False))),
    ]
)
DENSE = 1


def vector_column(array: Column) -> Column:
    """A column of vectors from one of array<double>, without Python in the plan."""
    from pyspark.ml.functions import array_to_vector  # slow to import
    from pyspark.sql import functions as F

    filled = F.transform(array, lambda element: F.coalesce(element, F.lit(math.nan)))
    return F.when(array.isNotNull(), array_to_vector(filled))


def vector_array(lists: pa.ListArray) -> pa.StructArray:
    """The same in Arrow."""
    rows, filled = len(lists), pc.fill_null(lists.flatten(), math.nan)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy()
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    children = [
        pa.array(np.full(rows, DENSE, np.int8)),
        pa.nulls(rows, TYPE.field("size").type),
        pa.nulls(rows, TYPE.field("indices").type),
        pa.ListArray.from_arrays(pa.array(offsets), filled, type=TYPE.field("values").type),
    ]
    return pa.StructArray.from_arrays(children, fields=list(TYPE), mask=lists.is_null())
