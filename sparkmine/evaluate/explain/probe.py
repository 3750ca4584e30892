"""A model and the sample of rows on which it is looked at.

The sample is bounded (10,000 rows unless asked for others), so everything that is found of it costs
the same for a table of any size: one pass over the table takes the rows with the least hashes of
their keys. The rows are the same for any partitioning, and for any model of the same table. Rows
that the model cannot score (a null or NaN that it reads) are left out and counted.

A model that scores Arrow tables (`Model.transform_arrow`) scores the sample in the driver, and so
do the methods their changed copies of it while they are few (`HERE`): a Spark job that starts
Python workers takes longer than the scores of some 100,000 rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from sparkmine.errors import ConfigError, DataError, SparkmineError, raised_by_workers
from sparkmine.evaluate.explain.beside import Beside
from sparkmine.evaluate.explain.features import Feature, features_of, words
from sparkmine.evaluate.measured import values_of
from sparkmine.evaluate.metrics import Floats
from sparkmine.evaluate.tasks import task_of
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.model import SCORES, Model

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession
    from pyspark.sql.types import StructType

    from sparkmine.lake import Snapshot

ROWS = 10_000
MOST_ROWS = 100_000
# Rows that are scored in the driver at most, by one method.
HERE = 500_000
_ORDER = ("_order_by_keys", "_order_by_row")


@dataclass(frozen=True, kw_only=True)
class Probe:
    """What the methods of explanation look at.

    Fields:
        features: columns that are changed together, by name.
        table: [n] the columns that the model may read.
        schema: of `table`, as Spark has it.
        outputs: [n, k] the model's numbers for these rows: the probability of class 1, the
            predicted number, or the probability of each class.
        labels, groups: [n], where they were named.
        shown: values [n] to show in place of a feature's own, by its name.
        left_out: rows of the sample that the model gave no score.
    """

    model: Model
    task: str
    features: tuple[Feature, ...]
    table: pa.Table
    schema: StructType
    outputs: Floats
    labels: npt.NDArray[Any] | None
    groups: npt.NDArray[Any] | None
    shown: Mapping[str, pa.ChunkedArray] = field(default_factory=dict)
    left_out: int = 0
    probabilities: bool = True
    seed: int
    spark: SparkSession

    @classmethod
    def of(
        cls,
        model: Model,
        data: DataFrame | Snapshot,
        features: Sequence[str],
        *,
        task: str = "binary",
        label: str | None = None,
        keys: Sequence[str] = (),
        group: str | None = None,
        groups: Mapping[str, Sequence[str]] | None = None,
        shown: Mapping[str, str] | Beside | None = None,
        rows: int = ROWS,
        seed: int = 0,
        spark: SparkSession | None = None,
    ) -> Self:
        """Sample rows of `data` and score them.

        Args:
            model: anything with `transform`.
            features: the columns to explain by; the data may have more that the model reads.
            label: needed by what measures; rows where it is null are not looked at.
            keys: columns that name a row: the sample is chosen by them. The whole row without them.
            group: column whose equal values are resampled together.
            groups: columns that belong together, by a name for them; see `features_of`.
            shown: column to show in words in place of a feature, by the feature's name; or a table
                that has them and the keys.
            rows: of the sample, at most.

        Raises:
            ConfigError: no such column or task, or a bad number of rows.
            DataError: no rows, or none that the model can score.
        """
        from pyspark.errors import AnalysisException
        from pyspark.sql import functions as F

        task_of(task)
        if not 2 <= rows <= MOST_ROWS:
            raise ConfigError(f"the sample has {rows} rows; it must have 2 to {MOST_ROWS}")
        df = as_frame(data, spark)
        found = features_of(df.schema, features, groups)
        given = {} if shown is None or isinstance(shown, Beside) else shown
        named = {one.name: given[one.name] for one in found if one.name in given}
        wanted = {"_label": label, "_group": group}
        wanted |= {f"_shown_{name}": column for name, column in named.items()}
        if isinstance(shown, Beside):
            wanted |= {f"_key_{name}": name for name in shown.keys}
        extra = {name: column for name, column in wanted.items() if column is not None}
        need_columns(df, [*keys, *extra.values()])
        if label is not None:
            df = df.where(F.col(f"`{label}`").isNotNull())

        def hashed(names: Sequence[str]) -> Column:
            return F.xxhash64(F.lit(seed), *(F.col(f"`{name}`") for name in names))

        # By the keys, and where they do not tell rows apart by what is explained and measured.
        order = (hashed(keys), hashed([*features, *([label] if label else [])]))

        def sampled(base: Sequence[str]) -> DataFrame:
            some = df.select(
                *(F.col(f"`{name}`") for name in base),
                *(F.col(f"`{column}`").alias(name) for name, column in extra.items()),
                *(one.alias(name) for one, name in zip(order, _ORDER, strict=True)),
            )
            return some.orderBy(*_ORDER).limit(rows)

        columns = [name for name in df.columns if name not in SCORES]
        base = [name for name in columns if name in features]
        try:
            scored = _scored(model, sampled(base))
        except (SparkmineError, AnalysisException):
            # It reads more than what is explained: all there is.
            base = columns
            scored = _scored(model, sampled(base))
        schema = df.select(*(f"`{name}`" for name in base)).schema
        if not scored.num_rows:
            raise DataError("there are no rows to explain a model on; look at the condition")
        scored = scored.sort_by([(name, "ascending") for name in _ORDER])
        outputs = outputs_of(scored, task)
        known = np.isfinite(outputs).all(axis=1)
        if not known.any():
            raise DataError(
                f"the model gives none of {len(known)} rows a score; do its columns have gaps?"
            )
        scored = scored.filter(pa.array(known))
        words_of = {name: scored.column(f"_shown_{name}") for name in named}
        if isinstance(shown, Beside):
            keyed = scored.select([f"_key_{name}" for name in shown.keys])
            words_of = shown.of(keyed.rename_columns(list(shown.keys)))
        return cls(
            model=model,
            task=task,
            features=found,
            table=scored.select(base).combine_chunks(),
            schema=schema,
            outputs=outputs[known],
            labels=_values(scored, "_label", label),
            groups=_values(scored, "_group", group),
            shown=words_of,
            left_out=int(np.count_nonzero(~known)),
            probabilities="probability" in scored.column_names or task != "multiclass",
            seed=seed,
            spark=df.sparkSession,
        )

    def __len__(self) -> int:
        return len(self.outputs)

    def feature(self, name: str) -> Feature:
        """The feature of this name, or the one that a column of this name belongs to.

        Raises:
            ConfigError: there is none.
        """
        for one in self.features:
            if name == one.name:
                return one
        for one in self.features:
            if name in one.columns:
                return one
        names = [one.name for one in self.features]
        raise ConfigError(f"no feature {name}; the features are {names}")

    def value(self, feature: Feature, row: int) -> str:
        """What a row of the sample has, in words."""
        if feature.name in self.shown:
            return words(self.shown[feature.name][row].as_py())
        return feature.text(self.table, row)


def outputs_of(table: pa.Table | pa.RecordBatch, task: str, classes: int | None = None) -> Floats:
    """The model's numbers [n, k] for scored rows; NaN where it gave none.

    A multiclass model without probabilities gives 1 to the class that it predicts.

    Args:
        classes: their number, for a model without probabilities; the largest one when None.
    """
    if task != "multiclass":
        return _floats(table.column("prediction"))[:, None]
    if "probability" in table.schema.names:
        column = table.column("probability")
        column = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
        there = column.is_valid().to_numpy(zero_copy_only=False)
        if not there.any():
            return np.full((len(column), 1), np.nan)
        known = values_of(column.drop_null(), "probability")
        found = np.full((len(column), known.shape[1]), np.nan)
        found[there] = known
        return found
    predicted = _floats(table.column("prediction"))
    count = int(np.nanmax(predicted, initial=0)) + 1 if classes is None else classes
    found = (predicted[:, None] == np.arange(count)).astype(np.float64)
    found[np.isnan(predicted)] = np.nan
    return found


def _scored(model: Model, rows: DataFrame) -> pa.Table:
    """The rows with their scores: by Spark, or here what the model can score here.

    Raises:
        SparkmineError, AnalysisException: the model needs other columns; before the rows are read.
    """
    from pyspark.sql.pandas.types import to_arrow_schema

    none = to_arrow_schema(rows.schema, timezone="UTC").empty_table()
    if model.transform_arrow(none) is None:
        scored = model.transform(rows)
        with raised_by_workers():
            return scored.toArrow()
    return model.transform_arrow(rows.toArrow())


def _floats(column: pa.Array | pa.ChunkedArray) -> Floats:
    found: Floats = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return found


def _values(table: pa.Table, name: str, called: str | None) -> npt.NDArray[Any] | None:
    """The values of a column that errors call as it is called in the data; None without one."""
    return None if called is None else values_of(table.column(name), called)
