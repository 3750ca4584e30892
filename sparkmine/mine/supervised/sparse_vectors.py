"""Features as sparse vectors of Spark ML: side by side, in one pass over Arrow blocks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkmine.stats.sparse import sparse_rows

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Spark's own number for a sparse vector; see recipe/spark_vector.py for the struct.
_SPARSE = 0


def sparse_vectors(rows: DataFrame, features: int, widths: Sequence[int]) -> DataFrame:
    """`features` beside the label of checked rows, whose features are the columns f0, f1 and on."""
    from pyspark.ml.linalg import VectorUDT
    from pyspark.sql import types as t

    names = [f"f{n}" for n in range(features)]
    size = sum(widths)

    def vectors(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = [batch.column(name) for name in names]
            matrix = sparse_rows(names, widths, arrays).matrix
            matrix.sort_indices()
            offsets = pa.array(matrix.indptr.astype(np.int32))
            entries = (matrix.indices.astype(np.int32), matrix.data)
            lists = [pa.ListArray.from_arrays(offsets, pa.array(one)) for one in entries]
            count = batch.num_rows
            vector = pa.StructArray.from_arrays(
                [
                    pa.array(np.full(count, _SPARSE, np.int8)),
                    pa.array(np.full(count, size, np.int32)),
                    *lists,
                ],
                names=["type", "size", "indices", "values"],
            )
            yield pa.RecordBatch.from_arrays([vector, batch.column("label")], ["features", "label"])

    schema = t.StructType(
        [t.StructField("features", VectorUDT()), t.StructField("label", t.DoubleType())]
    )
    return rows.mapInArrow(vectors, schema)
