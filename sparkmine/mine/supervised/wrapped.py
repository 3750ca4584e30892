"""A model that changes what another one says of a row."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

from sparkmine.model import Model

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot


@dataclass(frozen=True, kw_only=True)
class WrappedModel(Model):
    """Scores rows as `model` does; subclasses say what they change in the scored rows."""

    model: Model

    @abstractmethod
    def changed(self, scored: DataFrame) -> DataFrame:
        """Rows that `model` has scored, as this one scores them."""

    @abstractmethod
    def changed_arrow(self, scored: pa.Table) -> pa.Table:
        """The same of an Arrow table."""

    def transform(self, df: DataFrame) -> DataFrame:
        return self.changed(self.model.transform(df))

    def score_by_spark(
        self, data: DataFrame | Snapshot, keep: Sequence[str], spark: SparkSession | None
    ) -> DataFrame:
        return self.changed(self.model.score_by_spark(data, keep, spark))

    def transform_arrow(self, table: pa.Table) -> pa.Table | None:
        scored = self.model.transform_arrow(table)
        return None if scored is None else self.changed_arrow(scored)
