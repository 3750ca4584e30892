"""Mined rules as a model: a table of them, and what they recommend for any baskets.

The rules are an Arrow table whose sides are lists of dictionary codes, so no text is built for a
rule until Spark, which takes no dictionaries within lists, wants a DataFrame.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import pyarrow as pa

from sparkmine.errors import ConfigError, ModelError
from sparkmine.lake.inputs import as_frame
from sparkmine.mine.lattice import frame, plain_lists
from sparkmine.mine.measures import MEASURES
from sparkmine.mine.recommend import How, recommend
from sparkmine.model import Model
from sparkmine.stats.here import threads

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

SCHEMA = "antecedent array<string>, consequent array<string>, " + ", ".join(
    f"{name} double" for name in MEASURES
)
_STATE, _TABLE = "rules.json", "rules.arrow"


@dataclass(frozen=True, eq=False, kw_only=True)
class RulesModel(Model):
    """Association rules.

    Fields:
        basket, item: the columns of what was mined.
        baskets: how many were mined.
        itemsets: how many are frequent; the rules are made of them.
        rules: [antecedent, consequent, the measures], the highest lift first, then the support.
            The sides are lists of dictionary codes, which pandas, Polars and Parquet take as lists
            of texts.
    """

    basket: str
    item: str
    baskets: int
    itemsets: int
    rules: pa.Table

    def to_frame(self, spark: SparkSession) -> DataFrame:
        """The rules as a DataFrame, see `SCHEMA`; making it takes longer than finding them."""
        sides = [self.rules.column(place).combine_chunks() for place in (0, 1)]
        with ThreadPoolExecutor(threads()) as pool:  # Arrow lets the other thread work
            texts = pool.map(plain_lists, sides)
        plain = pa.table([*texts, *self.rules.columns[2:]], self.rules.column_names)
        return frame(spark, plain, SCHEMA)

    def transform(
        self, df: DataFrame, top_k: int = 5, *, score: str = "confidence", how: How = "auto"
    ) -> DataFrame:
        """What the rules recommend for the baskets of `df`, see `recommend`.

        The result has a row for each basket and recommended item, not one for each row of `df`.

        Args:
            df: one row per basket and item, in columns named as those that were mined.
            top_k: most items for a basket.
            score: the measure of a rule that says how good it is.
            how: "broadcast" or "join" the rules; "auto" decides by their number.

        Raises:
            ConfigError: a parameter is wrong, or a column is missing.
        """
        rules = self.to_frame(df.sparkSession)
        return recommend(df, rules, self.basket, self.item, top_k, score=score, how=how)

    def score(
        self, data: DataFrame | Snapshot, keep: Sequence[str], spark: SparkSession | None = None
    ) -> DataFrame:
        """What `transform` gives, also for a snapshot.

        Raises:
            ConfigError: a column is missing, or `keep` names others than the basket: what is
                recommended belongs to no row.
        """
        if set(keep) - {self.basket}:
            raise ConfigError(
                f"recommendations are for baskets, so {self.basket} is all that can be kept of "
                f"the rows, not {list(keep)}"
            )
        return self.transform(as_frame(data, spark))

    def _write(self, folder: Path) -> None:
        names = ("basket", "item", "baskets", "itemsets")
        state = {name: getattr(self, name) for name in names}
        (folder / _STATE).write_text(json.dumps(state, indent=1) + "\n")
        rules = self.rules.combine_chunks()
        path = str(folder / _TABLE)
        with pa.OSFile(path, "wb") as sink, pa.ipc.new_file(sink, rules.schema) as writer:
            writer.write_table(rules)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        try:
            state = json.loads((folder / _STATE).read_text())
            with pa.OSFile(str(folder / _TABLE), "rb") as source:
                rules = pa.ipc.open_file(source).read_all()
            return cls(rules=rules, **state)
        except (OSError, ValueError, TypeError, pa.ArrowException) as error:
            raise ModelError(f"{folder} does not hold rules: {error}") from None
