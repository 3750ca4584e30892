"""Association rules: `mining.py` finds the itemsets, `rule_search.py` their rules.

Cost: what the itemsets cost, and NumPy on the driver; `measures.py` defines the measures.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.errors import ConfigError
from sparkmine.lake.inputs import session_of
from sparkmine.mine.lattice import Itemsets
from sparkmine.mine.measures import Ranges, check_ranges
from sparkmine.mine.memory import BYTES_PER_RULE, Budget
from sparkmine.mine.mining import mine_itemsets
from sparkmine.mine.rule_search import Search, Side
from sparkmine.mine.rules_model import RulesModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot

logger = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class AssociationRules:
    """Rules "baskets with the antecedent also hold the consequent": which of them are wanted.

    Fields:
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
    """

    min_support: float = 0.01
    min_confidence: float = 0.3
    min_lift: float = 0.0
    max_length: int | None = None
    max_consequent: int | None = 1
    filters: Ranges | None = None
    antecedent_has: Collection[str] = ()
    antecedent_lacks: Collection[str] = ()
    consequent_has: Collection[str] = ()
    consequent_lacks: Collection[str] = ()
    prune: bool = False
    max_itemsets: int | None = None
    max_rules: int | None = None
    partitions: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.min_confidence <= 1:
            raise ConfigError(f"min_confidence is {self.min_confidence}; it must be from 0 to 1")
        for name in ("max_consequent", "max_rules"):
            number = getattr(self, name)
            if number is not None and number < 1:
                raise ConfigError(f"{name} is {number}; it must be 1 or more")
        check_ranges(self.filters or {})
        for name in ("antecedent_has", "antecedent_lacks", "consequent_has", "consequent_lacks"):
            items = getattr(self, name)
            if isinstance(items, str):
                raise ConfigError(f"{name}: {items!r} is one text; give a list of items")
            object.__setattr__(self, name, tuple(str(item) for item in items))

    def fit(
        self,
        data: DataFrame | Snapshot,
        basket: str,
        item: str,
        spark: SparkSession | None = None,
    ) -> RulesModel:
        """Mine the rules of baskets.

        Args:
            data: one row per basket and item.
            basket: the column that says which basket the row belongs to, of any type.
            item: the column with the item; its text is what counts.
            spark: session in which a snapshot is read; by default the active one.

        Raises:
            ConfigError: a setting or a column name is wrong.
            DataError: more itemsets or rules than allowed.
        """
        search = self._search(Budget.of(session_of(data, spark)))
        found = mine_itemsets(
            data,
            basket,
            item,
            self.min_support,
            self.max_length,
            max_itemsets=self.max_itemsets,
            partitions=self.partitions,
            spark=spark,
        )
        _warn_of_rare(found, search)
        rules = search.rules(found)
        logger.info("%d rules from %d itemsets", rules.num_rows, len(found))
        return RulesModel(
            basket=basket, item=item, baskets=found.baskets, itemsets=len(found), rules=rules
        )

    def _search(self, budget: Budget) -> Search:
        return Search(
            ranges=self._ranges(),
            max_consequent=self.max_consequent,
            antecedent=Side(has=self.antecedent_has, lacks=self.antecedent_lacks),
            consequent=Side(has=self.consequent_has, lacks=self.consequent_lacks),
            prune=self.prune,
            max_rules=self.max_rules or budget.allows(BYTES_PER_RULE),
        )

    def _ranges(self) -> Ranges:
        """All limits together; where a measure has two least values, the larger holds."""
        ranges = dict(self.filters or {})
        for name, least in (("confidence", self.min_confidence), ("lift", self.min_lift)):
            low, high = ranges.get(name, (None, None))
            ranges[name] = (least if low is None else max(low, least), high)
        return ranges


def association_rules(
    df: DataFrame | Snapshot,
    basket: str = "basket_id",
    item: str = "category",
    min_support: float = 0.01,
    min_confidence: float = 0.3,
    *,
    spark: SparkSession | None = None,
    **further: Any,
) -> DataFrame:
    """The rules of `AssociationRules` as a table in one call, the highest lift first.

    Args:
        df: one row per basket and item (a DataFrame or a snapshot).
        basket: the column that says which basket the row belongs to, of any type.
        item: the column with the item; its text is what counts.
        min_support: least share of the baskets that hold the whole rule, in (0, 1].
        min_confidence: least share, in [0, 1], of the antecedent's baskets.
        spark: session in which a snapshot is read; by default the active one.
        further: other fields of `AssociationRules`.

    Returns:
        DataFrame [antecedent: array<string>, consequent: array<string>, support, confidence,
        lift, leverage, conviction, zhang: double], items ascending. Conviction is null where the
        confidence is 1; filters take it for infinite. Empty for empty input.

    Raises:
        ConfigError: a parameter or a column name is wrong.
        DataError: more itemsets or rules than allowed.
    """
    settings = AssociationRules(min_support=min_support, min_confidence=min_confidence, **further)
    session = session_of(df, spark)
    return settings.fit(df, basket, item, session).to_frame(session)


def _warn_of_rare(found: Itemsets, search: Search) -> None:
    wanted = {*search.antecedent.has, *search.consequent.has}
    rare = sorted(wanted.difference(found.items))
    if rare:
        logger.warning("not frequent, so in no rule: %s", ", ".join(rare))
