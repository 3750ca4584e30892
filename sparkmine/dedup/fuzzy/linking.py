"""Records of one entity: pairs that Splink takes for one, and their connected components."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.components import labels_of
from sparkmine.dedup.fuzzy.blocking import Prepared, prepared
from sparkmine.dedup.fuzzy.model import Level, Model, trained
from sparkmine.dedup.fuzzy.settings import Linkage, check_installed
from sparkmine.dedup.near import buckets_for, clustered
from sparkmine.lake.inputs import as_frame, need_columns

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

logger = logging.getLogger(__name__)

# Pairs below the threshold are kept for a look at them if they are as likely as not.
_NEAR_MISS = 0.5
_TEXT_LETTERS = 60
SCORED = "a long, b long, weight double, probability double"


@dataclass(frozen=True)
class Example:
    """A scored pair, for people.

    Attributes:
        matched: Whether its probability reaches the threshold.
        values: (column, value, other value) of the compared columns, as they are in the table.
        bars: (comparison, level, weight): the prior, the comparisons, and their sum.
    """

    probability: float
    matched: bool
    values: tuple[tuple[str, str, str], ...]
    bars: tuple[tuple[str, str, float], ...]


@dataclass(frozen=True)
class LinkedRecords:
    """Clusters and how they were found.

    Attributes:
        id: Name of the id's column.
        clusters: [id, cluster], one row for each record; `cluster` is its least id.
        pairs: [a, b, weight, probability, matched]: ids of the pairs that reach the threshold, and
            of those that miss it with a probability of at least one half.
        figures: Counts of the run: rows, pairs compared, clusters, ...
        levels: The weight of every level of every comparison, which is the model.
        examples: The least likely pairs that are taken for one entity, and the likeliest other.
    """

    id: str
    clusters: DataFrame
    pairs: DataFrame
    figures: Mapping[str, Any]
    levels: tuple[Level, ...]
    examples: tuple[Example, ...]


def fuzzy_records(
    df: DataFrame | Snapshot, linkage: Linkage, *, spark: SparkSession | None = None
) -> LinkedRecords:
    """Find the records of one entity, though they differ, by Splink's probabilistic model.

    Pairs that agree in a blocking rule are compared; those whose match probability reaches the
    threshold are edges, and clusters are the connected components. The result depends on the
    rows and the settings alone, not on order or partitions.

    Args:
        df: The records, a DataFrame or a snapshot.
        linkage: Blocking rules, comparisons, training, threshold.
        spark: Session in which a snapshot is read; by default the active one.

    Raises:
        ExtraMissingError: Splink is not installed.
        ConfigError: a column that is missing or has another type; blocking rules that would
            compare more than `max_pairs`.
        DataError: ids that are null or not distinct; a training rule that no two rows agree in.
    """
    from pyspark.sql import functions as F

    check_installed()
    rows = as_frame(df, spark)
    records = prepared(rows, linkage)
    figures: dict[str, Any] = {
        "rows": records.rows,
        "pairs_compared": 0,
        "edges": 0,
        "near_misses": 0,
        "expected_precision": None,
    }
    if records.rows < 2:
        nothing = rows.sparkSession.createDataFrame([], f"{SCORED}, matched boolean")
        return _found(linkage, records, nothing, figures, (), ())
    with trained(records, linkage) as model:
        likely = model.scored(min(linkage.threshold, _NEAR_MISS))
        matched = F.col("probability") >= linkage.threshold
        scored, counts = cut(
            likely.withColumn("matched", matched),
            edges=F.count_if(matched),
            near_misses=F.count_if(~matched),
            certainty=F.avg(F.when(matched, F.col("probability"))),
        )
        levels = tuple(model.levels())
        figures["pairs_compared"] = model.engine.pairs
        figures["prior"] = model.linker._settings_obj._probability_two_random_records_match
        examples = tuple(_examples(rows, records, model, scored))
    figures["pairs_by_rule"] = {
        ", ".join(rule): records.pairs_of(rule) for rule in linkage.blocking
    }
    figures["edges"], figures["near_misses"] = counts["edges"], counts["near_misses"]
    # What the model itself expects; it sums in any order, so the last digits are not kept.
    certainty = counts["certainty"]
    figures["expected_precision"] = None if certainty is None else round(certainty, 6)
    return _found(linkage, records, scored, figures, levels, examples)


def _found(
    linkage: Linkage,
    records: Prepared,
    scored: DataFrame,
    figures: dict[str, Any],
    levels: tuple[Level, ...],
    examples: tuple[Example, ...],
) -> LinkedRecords:
    """Clusters by this project's connected components.

    Splink's own are a loop of SQL joins, each a few Spark jobs and a written table, as many rounds
    as the longest chain is long; ours end in one task up to 4 million edges, take about log n
    shuffles beyond, and keep no edge in the driver either.
    """
    from pyspark.sql import functions as F

    id, buckets = linkage.id, buckets_for(records.rows)
    roots, operations = labels_of(scored.where("matched").select("a", "b"), buckets)
    members, counts = cut(
        clustered(records.ids, roots, id), clusters=F.count_if(F.col(id) == F.col("cluster"))
    )
    figures = {**figures, **counts, "star_operations": operations}
    logger.info("fuzzy records: %s", figures)
    ids = [
        records.ids.select(F.col(id).alias(f"id_{side}"), F.col("key").alias(side))
        for side in ("a", "b")
    ]
    pairs = scored.join(ids[0], "a").join(ids[1], "b")
    named = pairs.select(
        F.least("id_a", "id_b").alias("a"),
        F.greatest("id_a", "id_b").alias("b"),
        *("weight", "probability", "matched"),
    )
    return LinkedRecords(id, members.select(id, "cluster"), named, figures, levels, examples)


def measured(found: LinkedRecords, verified: DataFrame) -> dict[str, Any]:
    """Precision and recall on pairs that somebody looked at.

    Args:
        verified: [a, b, same]: two ids, and whether they are one entity.

    Returns:
        How many `pairs` of known ids there are, `precision`, the share that is the same among
        those found in one cluster, and `recall`, the share found among the same; None for none.

    Raises:
        ConfigError: a column that is missing.
    """
    from pyspark.sql import functions as F

    need_columns(verified, ["a", "b", "same"])
    pairs = verified.select("a", "b", F.col("same").cast("boolean").alias("same"))
    for side in ("a", "b"):
        home = found.clusters.select(
            F.col(found.id).alias(side), F.col("cluster").alias(f"_{side}")
        )
        pairs = pairs.join(home, side)
    together = F.col("_a") == F.col("_b")
    row = pairs.where(F.col("same").isNotNull()).agg(
        F.count(F.lit(1)),
        F.count_if(together),
        F.count_if("same"),
        F.count_if(F.col("same") & together),
    )
    count, joined, same, both = row.collect()[0]
    return {
        "pairs": count,
        "precision": both / joined if joined else None,
        "recall": both / same if same else None,
    }


def _examples(
    rows: DataFrame, records: Prepared, model: Model, scored: DataFrame
) -> Iterator[Example]:
    from pyspark.sql import functions as F

    weight = F.col("weight")
    least = scored.where("matched").orderBy(weight, "a", "b").limit(2)
    missed = scored.where("not matched").orderBy(weight.desc(), "a", "b").limit(1)
    pairs = [row.asDict() for row in least.union(missed).collect()]
    keys = sorted({pair[side] for pair in pairs for side in ("a", "b")})
    found = rows.join(records.ids.where(F.col("key").isin(keys)), model.linkage.id).collect()
    by_key = {row["key"]: row for row in found}
    for pair in pairs:
        one, other = (by_key[pair[side]] for side in ("a", "b"))
        yield Example(
            probability=pair["probability"],
            matched=pair["matched"],
            values=tuple(
                (name, _shown(one[name]), _shown(other[name])) for name in model.linkage.compared
            ),
            bars=tuple(model.waterfall(pair)),
        )


def _shown(value: Any) -> str:
    text = "" if value is None else str(value)
    return text if len(text) <= _TEXT_LETTERS else text[: _TEXT_LETTERS - 1] + "…"
