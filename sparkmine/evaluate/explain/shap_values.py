"""Reasons of tree models by the package shap: exact Shapley values, quickly.

TreeExplainer's interventional values (Lundberg and others, "From local explanations to global
understanding with explainable AI for trees", Nature Machine Intelligence 2020) are those that
`Reasons` estimates, against a larger background and without drawing orders; of boosted classifiers
they are those of the log-odds, scaled to the probabilities. They exist for trees only; whether they
are right is checked before anything is written: on the probe's rows they must add up to the model's
predictions, which they do not for every kind of trees.

Cost: one Arrow pass; each row walks the trees once for each background row.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from sparkmine.errors import ConfigError, ExtraMissingError, raised_by_workers
from sparkmine.evaluate.explain.features import Feature
from sparkmine.evaluate.explain.probe import Probe
from sparkmine.evaluate.explain.told import Told, added, chosen, texts_of
from sparkmine.evaluate.explain.trees import OpenedTrees, Trees, trees_of
from sparkmine.evaluate.metrics import Floats
from sparkmine.lake.inputs import as_frame, need_columns

if TYPE_CHECKING:
    from pyspark.core.broadcast import Broadcast
    from pyspark.sql import DataFrame

    from sparkmine.lake import Snapshot

# Rows on which the values are checked, and what they may miss, of the range of the predictions.
_CHECKED, _TOLERANCE = 200, 1e-3


@dataclass(frozen=True, kw_only=True)
class ShapReasons:
    """How to explain rows.

    Fields:
        top: features that are named for each row.
        background: rows that a row is compared with.
    """

    top: int = 3
    background: int = 100

    def __post_init__(self) -> None:
        for name in ("top", "background"):
            if getattr(self, name) < 1:
                raise ConfigError(f"{name} is {getattr(self, name)}; it must be 1 or more")

    def fit(self, probe: Probe) -> FittedShapReasons:
        """Take the background from the probe's rows, and check the values there.

        Raises:
            ExtraMissingError: shap is not installed.
            ConfigError: the model is not made of trees that shap knows and gets right.
        """
        trees = trees_of(probe.model, probe.task, probe.table)
        if trees is None:
            raise ConfigError(
                f"shap explains trees, forests and boosted trees, not a "
                f"{type(probe.model).__name__} of another kind; leave out `method: shap`"
            )
        try:
            import shap  # noqa: F401
        except ImportError:
            raise ExtraMissingError(
                "`method: shap` needs the package shap: pip install 'sparkmine[shap]'"
            ) from None
        order = np.argsort(probe.outputs[:, -1], kind="stable")
        count = min(self.background, len(order))
        places = order[((np.arange(count) + 0.5) * len(order) / count).astype(np.intp)]
        background = trees.matrix(probe.table.take(pa.array(places)))
        work = _Work(trees=trees, background=background)
        rows = trees.matrix(probe.table.slice(0, _CHECKED))
        ready = work.ready()
        parts, expected = ready.values(rows)
        found = parts.sum(axis=1) + expected
        truth = probe.outputs[: len(rows)]
        worst = float(np.abs(found - truth).max())
        if worst > _TOLERANCE * max(float(np.ptp(probe.outputs)), 1e-12):
            raise ConfigError(
                f"shap's values do not add up to the predictions of this "
                f"{trees.name} (they miss by up to {worst:.3g}); leave out "
                "`method: shap`"
            )
        return FittedShapReasons(probe=probe, work=work, top=self.top, expected=expected)


@dataclass(frozen=True, kw_only=True)
class FittedShapReasons:
    """Explains the rows of any table that has the model's columns."""

    probe: Probe
    work: _Work
    top: int
    expected: Floats

    def transform(
        self,
        data: DataFrame | Snapshot,
        keys: Sequence[str],
        shown: Mapping[str, str] | None = None,
    ) -> DataFrame:
        """Explain every row; arguments and result are those of `FittedReasons.transform`."""
        from pyspark.sql import functions as F
        from pyspark.sql import types as t

        df = as_frame(data, self.probe.spark)
        names = tuple(one.name for one in self.probe.features)
        shown = {name: column for name, column in (shown or {}).items() if name in names}
        columns = list(
            dict.fromkeys([*(name for name, _ in self.work.trees.columns), *self._explained])
        )
        need_columns(df, [*keys, *shown.values(), *columns])
        kept = [
            t.StructField(f"_key_{place}", df.schema[name].dataType)
            for place, name in enumerate(keys)
        ]
        rows = df.select(
            *(F.col(f"`{name}`") for name in columns),
            *(F.col(f"`{name}`").alias(f"_key_{place}") for place, name in enumerate(keys)),
            *(F.col(f"`{column}`").alias(f"_shown_{name}") for name, column in shown.items()),
        )
        task = _Task(
            sent=df.sparkSession.sparkContext.broadcast(self.work),
            features=self.probe.features,
            told=Told(task=self.probe.task, names=names, top=self.top),
            kept=tuple(field.name for field in kept),
        )
        with raised_by_workers():
            found = rows.mapInArrow(task, t.StructType([*kept, *added(self.probe.task)]))
        return found.withColumnsRenamed({f"_key_{place}": name for place, name in enumerate(keys)})

    @property
    def _explained(self) -> list[str]:
        return [column for feature in self.probe.features for column in feature.columns]


@dataclass(frozen=True, kw_only=True)
class _Work:
    """What executors need."""

    trees: Trees
    background: Floats

    def ready(self) -> _Ready:
        """The trees with shap's explainer; takes a while, so once a task.

        Raises:
            ConfigError: shap does not know such models.
        """
        import shap

        opened = self.trees.opened()
        try:
            explainer = shap.TreeExplainer(
                opened.form(),
                data=self.background,
                feature_perturbation="interventional",
                model_output="raw" if self.trees.task == "regression" else "probability",
            )
        except Exception as error:  # shap raises what it likes for models that it does not know
            raise ConfigError(
                f"shap does not explain a {self.trees.name} ({error}); leave out `method: shap`"
            ) from None
        return _Ready(trees=opened, explainer=explainer)


@dataclass(frozen=True, kw_only=True)
class _Ready:
    """Trees in this process, with shap's explainer of them."""

    trees: OpenedTrees
    explainer: Any

    def values(self, rows: Floats) -> tuple[Floats, Floats]:
        """Values [n, d, k] of each column of the matrix, and what they start from [k]."""
        found = np.asarray(self.explainer.shap_values(rows, check_additivity=False), np.float64)
        expected = np.atleast_1d(np.asarray(self.explainer.expected_value, np.float64))
        if found.ndim == 2:
            found, expected = found[:, :, None], expected[-1:]
        return self.trees.outputs(found), self.trees.outputs(expected)


@dataclass(frozen=True)
class _Task:
    """What a task does with rows."""

    sent: Broadcast[_Work]
    features: tuple[Feature, ...]
    told: Told
    kept: tuple[str, ...]

    def __call__(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        work, ready = self.sent.value, None
        for batch in batches:
            if not batch.num_rows:
                continue
            ready = work.ready() if ready is None else ready
            table = pa.Table.from_batches([batch])
            rows = work.trees.matrix(table)
            usable = np.isfinite(rows).all(axis=1)
            rows[~usable] = 0.0
            parts, expected = ready.values(rows)
            outputs = ready.trees.scores(rows)
            outputs[~usable] = np.nan
            which = chosen(outputs)[:, None, None]
            mine = np.take_along_axis(parts, which, axis=2)[:, :, 0]
            found = self.told.columns(
                outputs, mine @ self._owners(work.trees), expected, texts_of(self.features, table)
            )
            kept = {name: table.column(name) for name in self.kept}
            yield from pa.table({**kept, **found}).to_batches()

    def _owners(self, trees: Trees) -> Floats:
        """[d, features] which elements of the matrix are whose."""
        widths = dict(trees.columns)
        found = np.zeros((sum(widths.values()), len(self.features)))
        ends = dict(zip(widths, np.cumsum(list(widths.values())).tolist(), strict=True))
        for place, feature in enumerate(self.features):
            for column in feature.columns:
                if column in ends:
                    found[ends[column] - widths[column] : ends[column], place] = 1.0
        return found
