"""How well clusters of texts hold together, and their least alike pairs.

A cluster is a component of verified pairs, so it joins pairs too that are less alike than the
threshold, or were not compared. `precision` is the share of verified pairs among all pairs of
different texts that are in one cluster: at least so many reach the threshold. Equal texts are one.

By Spark that is two shuffles of a cluster and a key for each text; of a batch in this process, a
few sorts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.dedup import pieces
from sparkmine.dedup.exact import EXAMPLES, LETTERS
from sparkmine.dedup.flow import Pieces
from sparkmine.dedup.known import Among
from sparkmine.dedup.sets import UInts

if TYPE_CHECKING:
    from pyspark.sql import DataFrame


@dataclass(frozen=True)
class Verified:
    """What is known of the pairs of different texts.

    Attributes:
        joined: So many are in one cluster.
        verified: So many of these are known to reach the threshold.
        least_alike: (similarity, id, id) of some verified pairs; of equal texts the least id.
    """

    joined: int
    verified: int
    least_alike: tuple[tuple[float, Any, Any], ...] = ()

    @property
    def ids(self) -> list[Any]:
        """The ids whose texts `figures` shows."""
        return [id for _, *pair in self.least_alike for id in pair]

    def figures(self, texts: Mapping[Any, str]) -> dict[str, Any]:
        """For the ledger: `pairs_joined`, `precision` (None without such pairs) and `examples`."""
        return {
            "pairs_joined": self.joined,
            "precision": self.verified / self.joined if self.joined else None,
            "examples": [
                [similarity, texts[one][:LETTERS], texts[other][:LETTERS]]
                for similarity, one, other in self.least_alike
            ],
        }


def by_spark(
    rows: DataFrame, pairs: DataFrame, count: int, met: DataFrame | None = None
) -> Verified:
    """Of texts on the executors.

    Args:
        rows: [id, key, cluster] of the texts, the id's column first.
        pairs: [a, b, similarity], the `count` verified pairs of keys.
        met: [a, b], these and those that were verified before; of both only pairs between keys of
            `rows` count. None if all are, and there were none before.
    """
    from pyspark.sql import functions as F

    id = rows.columns[0]
    keyed = rows.where("key is not null")
    sizes = keyed.select("cluster", "key").distinct().groupBy("cluster").count()
    joined = sizes.agg(F.sum(F.expr("count * (count - 1) div 2"))).first()
    if met is not None:
        keys = keyed.select("key").distinct()
        for side in ("a", "b"):
            key = keys.withColumnRenamed("key", side)
            pairs, met = pairs.join(key, side, "left_semi"), met.join(key, side, "left_semi")
        count = met.select(F.least("a", "b"), F.greatest("a", "b")).distinct().count()
    least = pairs.orderBy("similarity", "a", "b").limit(EXAMPLES).collect()
    wanted = {row[side] for row in least for side in ("a", "b")}
    named = keyed.where(F.col("key").isin(*wanted)).groupBy("key").agg(F.min(id)) if wanted else ()
    ids = dict(map(tuple, named.collect() if named else ()))
    shown = tuple((row["similarity"], ids[row["a"]], ids[row["b"]]) for row in least)
    return Verified(int(joined[0] or 0) if joined else 0, count, shown)


def here(rows: pa.Table, edges: Pieces, met: Sequence[UInts]) -> Verified:
    """Of texts in this process.

    Args:
        rows: [id, key, cluster] of the texts, the id's column first.
        edges: The pieces of the verified pairs of keys.
        met: The ends of these and of those that were verified before.
    """
    keyed = rows.filter(pc.is_valid(rows["key"]))
    # The first row of a text has its least id.
    keyed = keyed.take(pc.sort_indices(keyed[0]))
    keys, first = np.unique(pieces.uints(keyed["key"]), return_index=True)
    texts = keyed.take(pa.array(first))
    sizes = texts["cluster"].value_counts().field("counts").to_numpy(zero_copy_only=False)
    joined = int((sizes * (sizes - 1) // 2).sum())
    among = Among(keys)
    a, b = met
    inside = among.mask(a) & among.mask(b)
    count = np.unique(np.sort(np.stack([a[inside], b[inside]]), axis=0), axis=1).shape[1]
    batches = edges.of(pieces.EDGES).here().batches
    found = [part for _, _, part in pieces.unpacked(batches)]
    if not found:
        return Verified(joined, count)
    a, b, similarity = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    inside = among.mask(a) & among.mask(b)
    a, b, similarity = a[inside], b[inside], similarity[inside]
    # By keys as Spark has them, which are signed.
    order = np.lexsort((b.view(np.int64), a.view(np.int64), similarity))[:EXAMPLES]
    ids = [texts[0].take(pa.array(np.searchsorted(keys, end[order]))) for end in (a, b)]
    shown = zip(similarity[order].tolist(), *(part.to_pylist() for part in ids), strict=True)
    return Verified(joined, count, tuple(shown))


def texts_of(df: DataFrame, id: str, text: str, ids: Iterable[Any]) -> dict[Any, str]:
    """The beginnings of the texts of a few ids."""
    from pyspark.sql import functions as F

    wanted = list(ids)
    if not wanted:
        return {}
    some = df.where(F.col(id).isin(*wanted))
    return dict(map(tuple, some.select(id, F.substring(text, 1, LETTERS)).collect()))
