"""How many topics: the coherence and the perplexity of each k, and a suggestion.

The suggestion is the k whose topics are most coherent on average, which is what people find
interpretable; a low perplexity is not (Chang et al., "Reading tea leaves", 2009). Of equal ones it
is the smaller k.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.errors import ConfigError
from sparkmine.mine.topics.fitting import Topics, fit_all
from sparkmine.mine.topics.model import TopicsModel

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.lake import Snapshot


@dataclass(frozen=True, kw_only=True)
class TriedTopics:
    """One k: the mean coherence of its topics, and the perplexity of what was held out."""

    k: int
    coherence: float
    perplexity: float | None


@dataclass(frozen=True, eq=False, kw_only=True)
class TopicChoice:
    """What was tried, by rising k, the suggested k, and its model."""

    tried: tuple[TriedTopics, ...]
    suggested: int
    model: TopicsModel

    def describe(self) -> dict[str, Any]:
        """As JSON values."""
        return {"tried": [asdict(one) for one in self.tried], "suggested": self.suggested}


def choose_topics(
    data: DataFrame | Snapshot,
    text: str,
    ks: Sequence[int],
    like: Topics | None = None,
    spark: SparkSession | None = None,
) -> TopicChoice:
    """Fit each of `ks`, otherwise like `like`, and say which suits the texts.

    Raises:
        ConfigError: fewer than two different ks, or another wrong setting.
        DataError: as `Topics.fit`.
    """
    wanted = sorted(set(ks))
    if len(wanted) < 2:
        raise ConfigError(f"ks is {list(ks)}; give at least two to choose from")
    models = fit_all([replace(like or Topics(), k=k) for k in wanted], data, text, spark)
    tried = tuple(
        TriedTopics(k=k, coherence=float(np.mean(model.coherence)), perplexity=model.perplexity)
        for k, model in zip(wanted, models, strict=True)
    )
    best = max(range(len(tried)), key=lambda place: (tried[place].coherence, -tried[place].k))
    return TopicChoice(tried=tried, suggested=tried[best].k, model=models[best])
