"""Mining: association rules, classical models, baselines and ensembles."""

from sparkmine.mine.itemsets import frequent_itemsets
from sparkmine.mine.rules import association_rules

__all__ = ["association_rules", "frequent_itemsets"]
