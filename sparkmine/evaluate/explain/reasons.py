"""Why each row of a table is scored as it is: what each feature adds to its prediction.

Shapley values against a background of other rows: a feature's contribution is what its value adds
when the row's features replace those of a background row one after the other, averaged over the
orders in which they can and over the background (Strumbelj and Kononenko, "Explaining prediction
models and individual predictions with feature contributions", 2014). The contributions of a row add
up to its prediction less the mean prediction of the background, exactly, however few orders are
drawn.

Every order is drawn together with its reverse (Mitchell, Cooper, Frank and Holmes 2022), for each
row of the background: the values are then exact for linear models and wherever features act
together in pairs at most; beyond that `orders` makes them better. The background has rows from all
along the range of the predictions, so few of them have nearly the mean prediction of the whole
sample.

Cost: a row is scored 1 + background * orders * (features - 1) times, so features beyond the named
ones should be taken together (`most`). Rows of any number are explained where they are: an Arrow
block of copies for the model, one shuffle of its scores. Few rows are explained here, without
Spark, if the model can score them so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError
from sparkmine.evaluate.explain.features import ARRAYS, Feature
from sparkmine.evaluate.explain.probe import HERE, Probe
from sparkmine.evaluate.explain.told import OTHERS, Told, added
from sparkmine.evaluate.explain.walks import Finisher, Maker, Walks, place_fields
from sparkmine.evaluate.metrics import Floats
from sparkmine.lake.inputs import as_frame, need_columns
from sparkmine.model import SCORES

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkmine.lake import Snapshot


@dataclass(frozen=True, kw_only=True)
class Reasons:
    """How to explain rows.

    Fields:
        top: features that are named for each row.
        background: rows that a row is compared with.
        orders: in which its features replace those of a background row; an even number.
        most: features that are looked at one by one; the others are one, `other columns`.
    """

    top: int = 3
    background: int = 20
    orders: int = 2
    most: int = 15

    def __post_init__(self) -> None:
        for name, least in (("top", 1), ("background", 1), ("orders", 2), ("most", 1)):
            if getattr(self, name) < least:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be {least} or more")
        if self.orders % 2:
            raise ConfigError(f"orders is {self.orders}; it must be even: each has its reverse")

    def fit(self, probe: Probe, first: Sequence[str] = ()) -> FittedReasons:
        """Choose the background among the probe's rows, and the orders.

        Args:
            first: features, the most important one first: as many as `most` are looked at one by
                one. The probe's order when empty.

        Raises:
            ConfigError: no such feature.
        """
        named = list(dict.fromkeys(probe.feature(name) for name in first)) or list(probe.features)
        alone = named[: self.most]
        rest = [one for one in probe.features if one not in alone]
        if len(rest) == 1:  # alone among "others" it would only lose its name
            alone, rest = [*alone, *rest], []
        players = list(alone)
        if rest:
            columns = tuple(column for one in rest for column in one.columns)
            players.append(Feature(name=OTHERS, columns=columns, kind=ARRAYS))
        order = np.argsort(probe.outputs[:, -1], kind="stable")
        count = min(self.background, len(order))
        places = order[((np.arange(count) + 0.5) * len(order) / count).astype(np.intp)]
        return FittedReasons(
            probe=probe,
            players=tuple(players),
            background=probe.table.take(pa.array(places)).combine_chunks(),
            walks=Walks.drawn(probe.outputs[places], len(players), self.orders, probe.seed),
            top=self.top,
        )


@dataclass(frozen=True, kw_only=True)
class FittedReasons:
    """Explains the rows of any table that has the model's columns.

    Fields:
        players: the features, the last one perhaps `other columns`.
        background: the columns of the background rows.
        walks: what a row is scored with, and what each score counts.
    """

    probe: Probe
    players: tuple[Feature, ...]
    background: pa.Table
    walks: Walks
    top: int

    @property
    def expected(self) -> Floats:
        """The mean of the model's numbers [k] for the background."""
        found: Floats = self.walks.base.mean(axis=0)
        return found

    def transform(
        self,
        data: DataFrame | Snapshot,
        keys: Sequence[str],
        shown: Mapping[str, str] | None = None,
    ) -> DataFrame:
        """Explain every row.

        Args:
            keys: columns to keep beside.
            shown: column to show in words in place of a feature, by the feature's name.

        Returns:
            The keys; of a multiclass model the `class` it predicts, whose probability is explained;
            `prediction`; `expected`, the mean prediction of the background; `reasons`, the features
            that move the prediction furthest from it, in words with their contribution ("amount 42
            (+0.310)"); `contributions`, of all features by name. Of a row without a score all but
            the keys is null.

        Raises:
            ConfigError: a column is missing.
        """
        from pyspark.sql import functions as F
        from pyspark.sql import types as t

        df = as_frame(data, self.probe.spark)
        shown = {name: column for name, column in (shown or {}).items() if name in self._names}
        base = self.background.column_names
        need_columns(df, [*keys, *shown.values(), *base])
        maker, finisher = self._work(len(keys))
        rows = df.select(
            *(F.col(f"`{name}`") for name in base),
            *(F.col(f"`{name}`").alias(f"_key_{place}") for place, name in enumerate(keys)),
            *(F.col(f"`{column}`").alias(f"_shown_{name}") for name, column in shown.items()),
        )
        kept = [
            t.StructField(f"_key_{place}", df.schema[name].dataType)
            for place, name in enumerate(keys)
        ]
        texts = t.StructField("_texts", t.ArrayType(t.StringType()))
        columns = [field for field in rows.schema if field.name in base]
        made = rows.mapInArrow(maker, t.StructType([*columns, *kept, texts, *place_fields()]))
        scored = self.probe.model.transform(made)
        outputs = [name for name in SCORES if name in scored.columns]
        places = [field.name for field in place_fields()]

        def finished(block: pa.Table) -> pa.Table:
            return finisher(block)  # Spark counts arguments, and wants a function

        found = (
            scored.select(*places, *(field.name for field in kept), "_texts", *outputs)
            .groupBy(places[0])
            .applyInArrow(finished, t.StructType([*kept, *added(self.probe.task)]))
        )
        return found.withColumnsRenamed({f"_key_{place}": name for place, name in enumerate(keys)})

    @property
    def most_here(self) -> int:
        """Rows that are explained without Spark, at most: 0 if the model takes Spark."""
        if self.probe.model.transform_arrow(self.background.slice(0, 0)) is None:
            return 0
        return HERE // (1 + len(self.walks.owners))

    def transform_arrow(
        self,
        rows: pa.Table,
        keys: Sequence[str],
        shown: Mapping[str, pa.ChunkedArray] | None = None,
    ) -> pa.Table:
        """As `transform`, for `most_here` rows at most, in this process.

        Args:
            rows: with the keys and the columns of the background.
            shown: values to show in words in place of a feature's own, by its name.
        """
        for place, name in enumerate(keys):
            rows = rows.append_column(f"_key_{place}", rows.column(name))
        for name, column in (shown or {}).items():
            if name in self._names:
                rows = rows.append_column(f"_shown_{name}", column)
        maker, finisher = self._work(len(keys))
        model = self.probe.model
        done = [finisher(model.transform_arrow(made)) for made in maker.blocks(rows)]
        if not done:
            empty = rows.select([f"_key_{place}" for place in range(len(keys))])
            return empty.rename_columns(list(keys))
        found = pa.concat_tables(done)
        return found.rename_columns([*keys, *found.column_names[len(keys) :]])

    def _work(self, keys: int) -> tuple[Maker, Finisher]:
        """What is done before a model scores copies of rows, and after it."""
        kept = tuple(f"_key_{place}" for place in range(keys))
        maker = Maker(
            walks=self.walks,
            players=self.players,
            background=self.background,
            base=tuple(self.background.column_names),
            kept=kept,
        )
        told = Told(task=self.probe.task, names=self._names, top=self.top)
        return maker, Finisher(walks=self.walks, told=told, kept=kept)

    @property
    def _names(self) -> tuple[str, ...]:
        return tuple(player.name for player in self.players)
