"""Train Splink's model and score the pairs.

The u are counted over random pairs of a sample of the records, which is at most some thousand
records whatever the table's size, in DuckDB. The m come from expectation maximisation, once for
each training rule, over all pairs that agree in it (of very many a sample). Pairs are formed and
scored in Spark.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.dedup.fuzzy.blocking import KEY, Prepared
from sparkmine.dedup.fuzzy.comparisons import splink_comparison
from sparkmine.dedup.fuzzy.settings import Linkage

logger = logging.getLogger(__name__)

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from sparkmine.dedup.fuzzy.backend import Engine

# Pairs of a training rule; of more a sample is taken.
_TRAINING_PAIRS = 5_000_000
PRIOR, FINAL = "Prior", "Final score"


@dataclass(frozen=True, kw_only=True)
class Level:
    """One level of one comparison, or the prior.

    Attributes:
        m, u: Its probability among pairs of one entity, and among others; None for the prior.
        weight: log2(m / u), within ±1000.
        seen: False if the training met no pair at this level; m, or u, is then Splink's guess.
    """

    comparison: str
    level: str
    m: float | None
    u: float | None
    weight: float
    seen: bool = True


class Model:
    """A trained model. Close it when the scores have been read."""

    def __init__(self, engine: Engine, linker: Any, linkage: Linkage) -> None:
        self.engine, self.linker, self.linkage = engine, linker, linkage
        self._labels = {f"c{i}": item.name for i, item in enumerate(linkage.comparisons)}

    def scored(self, threshold: float) -> DataFrame:
        """[a, b, weight, probability, gamma_c0, ..., mw_tf_adj_c0, ...] of pairs of keys, a < b."""
        from pyspark.sql import functions as F

        self.engine.scoring = True
        # Splink gives the level of each comparison only beside the compared values.
        found = self.linker.inference.predict(
            threshold_match_probability=threshold, warning_mode="never"
        ).as_spark_dataframe()
        parts = [name for name in found.columns if name.startswith(("gamma_", "mw_tf_adj_"))]
        return found.select(
            F.col(f"{KEY}_l").alias("a"),
            F.col(f"{KEY}_r").alias("b"),
            F.col("match_weight").alias("weight"),
            F.col("match_probability").alias("probability"),
            *parts,
        )

    def levels(self) -> list[Level]:
        """What the match-weight chart of Splink shows: the prior first, then each level."""
        settings = self.linker._settings_obj
        seen = {
            (comparison.output_column_name, level.comparison_vector_value): level._is_trained
            for comparison in settings.comparisons
            for level in comparison.comparison_levels
        }
        return [
            Level(
                comparison=self._labels.get(record.comparison_name, PRIOR),
                level=record.label_for_charts,
                m=record.m_probability,
                u=record.u_probability,
                weight=_finite(record.log2_bayes_factor),
                seen=seen.get((record.comparison_name, record.comparison_vector_value), True),
            )
            for record in settings._parameters_as_detailed_records
            if not record.is_null_level
        ]

    def waterfall(self, pair: dict[str, Any]) -> list[tuple[str, str, float]]:
        """(comparison, level, weight) of a scored pair: prior, comparisons, final score.

        Args:
            pair: A row of `scored`.
        """
        from splink.internals.waterfall_chart import record_to_waterfall_data

        settings = self.linker._settings_obj
        row = {**pair, "match_weight": pair["weight"]}
        bars = record_to_waterfall_data(row, settings, hide_details=True)
        found = []
        for bar in bars:
            name, level = bar["column_name"], bar["label_for_charts"]
            if bar["log2_bayes_factor"] == 0:  # a missing value, or no adjustment
                continue
            if bar["term_frequency_adjustment"]:
                name, level = name.removeprefix("tf_"), "how rare the value is"
            elif name in (PRIOR, FINAL):
                level = ""
            found.append((self._labels.get(name, name), level, _finite(bar["log2_bayes_factor"])))
        return found


@contextmanager
def trained(records: Prepared, linkage: Linkage) -> Iterator[Model]:
    """Train; afterwards nothing of it is left in the session."""
    from splink import Linker, SettingsCreator

    from sparkmine.dedup.fuzzy.backend import Engine

    engine = Engine(records.frame.sparkSession)
    splink, said = logging.getLogger("splink"), _Said()
    splink.addHandler(said)
    try:
        prior = linkage.training.prior
        more: dict[str, Any] = {} if prior is None else _prior(prior)
        settings = SettingsCreator(
            link_type="dedupe_only",
            unique_id_column_name=KEY,
            comparisons=_comparisons(linkage),
            blocking_rules_to_generate_predictions=_rules(
                [f"l.b{place} = r.b{place}" for place in range(len(linkage.blocking))]
            ),
            retain_intermediate_calculation_columns=True,
            max_iterations=linkage.training.max_iterations,
            em_convergence=linkage.training.convergence,
            **more,
        )
        table = engine.register(records.frame, table_name=f"__splink__records_{engine.id}")
        linker = Linker(table, settings, log_level=None)
        _train(linker, records, linkage)
        yield Model(engine, linker, linkage)
    finally:
        splink.removeHandler(said)
        engine.close()


class _Said(logging.Handler):
    """What Splink says, in one line and by our logger: it would go to the console otherwise."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.info("Splink: %s", " ".join(record.getMessage().split()))


def _train(linker: Any, records: Prepared, linkage: Linkage) -> None:
    training = linkage.training
    if training.certain:
        linker.training.estimate_probability_two_random_records_match(
            [records.agreement(rule) for rule in training.certain], recall=training.recall
        )
    _count_u(linker, records, linkage)
    for rule in training.rules:
        many = records.pairs_of(rule) > _TRAINING_PAIRS
        linker.training.estimate_parameters_using_expectation_maximisation(
            records.agreement(rule),
            estimate_without_term_frequencies=True,
            max_pairs=_TRAINING_PAIRS if many else None,
        )


def _count_u(linker: Any, records: Prepared, linkage: Linkage) -> None:
    """The u by Splink's random sampling, run on a sample of the records in DuckDB."""
    from pyspark.sql import functions as F
    from splink import Linker, SettingsCreator
    from splink.backends.duckdb import DuckDBAPI

    from sparkmine.dedup.fuzzy.backend import quiet_connection

    wanted = math.ceil(math.sqrt(2 * linkage.training.sample_pairs)) + 1
    columns = [name for name in records.frame.columns if name[0] == "c"]
    # The first of an order by hash: the same records for any partitioning.
    order = F.xxhash64(KEY, F.lit(linkage.seed))
    sample = records.frame.select(KEY, *columns).orderBy(order, KEY).limit(wanted).toArrow()
    connection = quiet_connection()
    try:
        engine = DuckDBAPI(connection=connection)
        settings = SettingsCreator(
            link_type="dedupe_only", unique_id_column_name=KEY, comparisons=_comparisons(linkage)
        )
        small = Linker(engine.register(sample, table_name="sample"), settings, log_level=None)
        # All pairs of the sample, which was made to have as many as are wanted.
        small.training.estimate_u_using_random_sampling(
            max_pairs=float(wanted**2), min_count_per_level=None, num_chunks=1
        )
    finally:
        connection.close()
    for mine, its in zip(
        linker._settings_obj.comparisons, small._settings_obj.comparisons, strict=True
    ):
        levels = zip(mine.comparison_levels, its.comparison_levels, strict=True)
        for level, counted in levels:
            if not level.is_null_level:
                value = counted._trained_u_probabilities[-1]["probability"]
                level._add_trained_u_probability(value, "random pairs")
    linker._populate_m_u_from_trained_values()


def _comparisons(linkage: Linkage) -> list[Any]:
    return [splink_comparison(item, f"c{i}") for i, item in enumerate(linkage.comparisons)]


def _rules(conditions: list[str]) -> list[Any]:
    from splink.blocking_rule_library import CustomRule

    return [CustomRule(condition, sql_dialect="spark") for condition in conditions]


def _prior(prior: float) -> dict[str, float]:
    return {"probability_two_random_records_match": prior}


def _finite(weight: float) -> float:
    return max(min(weight, 1000.0), -1000.0)
