"""Association rules: `mining.py` finds the itemsets, `rule_search.py` their rules.

Cost: what the itemsets cost, and NumPy on the driver; `measures.py` defines the measures.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from typing import TYPE_CHECKING

import pyarrow as pa

from sparkmine.errors import ConfigError
from sparkmine.lake.inputs import session_of
from sparkmine.mine.lattice import Itemsets
from sparkmine.mine.measures import MEASURES, Ranges, check_ranges
from sparkmine.mine.memory import BYTES_PER_RULE, Budget
from sparkmine.mine.mining import mine_itemsets
from sparkmine.mine.rule_search import Search, Side

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

SCHEMA = "antecedent array<string>, consequent array<string>, " + ", ".join(
    f"{name} double" for name in MEASURES
)

logger = logging.getLogger(__name__)


def association_rules(
    df: DataFrame | Snapshot,
    basket: str = "basket_id",
    item: str = "category",
    min_support: float = 0.01,
    min_confidence: float = 0.3,
    *,
    min_lift: float = 0.0,
    max_length: int | None = None,
    max_consequent: int | None = 1,
    filters: Ranges | None = None,
    antecedent_has: Collection[str] = (),
    antecedent_lacks: Collection[str] = (),
    consequent_has: Collection[str] = (),
    consequent_lacks: Collection[str] = (),
    prune: bool = False,
    max_itemsets: int | None = None,
    max_rules: int | None = None,
    partitions: int | None = None,
    spark: SparkSession | None = None,
) -> DataFrame:
    """Rules "baskets with the antecedent also hold the consequent", the highest lift first.

    Args:
        df: one row per basket and item (a DataFrame or a snapshot).
        basket: the column that says which basket the row belongs to, of any type.
        item: the column with the item; its text is what counts.
        min_support: least share of the baskets that hold the whole rule, in (0, 1].
        min_confidence: least share, in [0, 1], of the antecedent's baskets.
        min_lift: least lift; 1 keeps what occurs together at least as often as by chance.
        max_length: most items in a rule, both sides together; None for all.
        max_consequent: most items in a consequent; None for any number.
        filters: least and largest value of any measure, None for no limit, such as
            {"conviction": (1.5, None), "support": (None, 0.2)}.
        antecedent_has, consequent_has: the side must hold at least one of these items.
        antecedent_lacks, consequent_lacks: the side must hold none of these items.
        prune: leave out redundant rules: those whose antecedent has a part, not empty, with which
            the same consequent follows with at least the same confidence.
        max_itemsets: most itemsets to find; None allows as many as the driver's memory holds.
        max_rules: most rules to return; None allows as many as the driver's memory holds.
        partitions: parts to mine separately; None chooses by size. The result is the same.
        spark: session in which a snapshot is read; by default the active one.

    Returns:
        DataFrame [antecedent: array<string>, consequent: array<string>, support, confidence,
        lift, leverage, conviction, zhang: double], items ascending. Conviction is null where the
        confidence is 1; filters take it for infinite. Empty for empty input.

    Raises:
        ConfigError: a parameter or a column name is wrong.
        DataError: more itemsets or rules than allowed.
    """
    table, _ = find_rules(
        df,
        basket,
        item,
        min_support,
        min_confidence,
        min_lift=min_lift,
        max_length=max_length,
        max_consequent=max_consequent,
        filters=filters,
        antecedent_has=antecedent_has,
        antecedent_lacks=antecedent_lacks,
        consequent_has=consequent_has,
        consequent_lacks=consequent_lacks,
        prune=prune,
        max_itemsets=max_itemsets,
        max_rules=max_rules,
        partitions=partitions,
        spark=spark,
    )
    return session_of(df, spark).createDataFrame(table, SCHEMA)


def find_rules(
    df: DataFrame | Snapshot,
    basket: str,
    item: str,
    min_support: float,
    min_confidence: float,
    *,
    min_lift: float = 0.0,
    max_length: int | None = None,
    max_consequent: int | None = 1,
    filters: Ranges | None = None,
    antecedent_has: Collection[str] = (),
    antecedent_lacks: Collection[str] = (),
    consequent_has: Collection[str] = (),
    consequent_lacks: Collection[str] = (),
    prune: bool = False,
    max_itemsets: int | None = None,
    max_rules: int | None = None,
    partitions: int | None = None,
    spark: SparkSession | None = None,
) -> tuple[pa.Table, Itemsets]:
    """As `association_rules`, as an Arrow table, and the itemsets that the rules are made of."""
    if not 0 <= min_confidence <= 1:
        raise ConfigError(f"min_confidence is {min_confidence}; it must be between 0 and 1")
    for name, number in {"max_consequent": max_consequent, "max_rules": max_rules}.items():
        if number is not None and number < 1:
            raise ConfigError(f"{name} is {number}; it must be 1 or more")
    check_ranges(filters or {})
    search = Search(
        ranges=_ranges(min_confidence, min_lift, filters or {}),
        max_consequent=max_consequent,
        antecedent=Side(has=_names(antecedent_has), lacks=_names(antecedent_lacks)),
        consequent=Side(has=_names(consequent_has), lacks=_names(consequent_lacks)),
        prune=prune,
        max_rules=max_rules or Budget.of(session_of(df, spark)).allows(BYTES_PER_RULE),
    )
    found = mine_itemsets(
        df,
        basket,
        item,
        min_support,
        max_length,
        max_itemsets=max_itemsets,
        partitions=partitions,
        spark=spark,
    )
    _warn_of_rare(found, search)
    table = search.rules(found)
    logger.info("%d rules from %d itemsets", table.num_rows, len(found))
    return table, found


def _ranges(min_confidence: float, min_lift: float, filters: Ranges) -> Ranges:
    """All limits together; where a measure has two least values, the larger holds."""
    ranges = dict(filters)
    for name, least in (("confidence", min_confidence), ("lift", min_lift)):
        low, high = ranges.get(name, (None, None))
        ranges[name] = (least if low is None else max(low, least), high)
    return ranges


def _names(items: Collection[str]) -> list[str]:
    if isinstance(items, str):
        raise ConfigError(f"{items!r} is one text; give a list of items")
    return [str(item) for item in items]


def _warn_of_rare(found: Itemsets, search: Search) -> None:
    wanted = {*search.antecedent.has, *search.consequent.has}
    rare = sorted(wanted.difference(found.items))
    if rare:
        logger.warning("not frequent, so in no rule: %s", ", ".join(rare))
