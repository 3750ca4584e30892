"""How well clusters of texts hold together, and their least alike pairs.

A cluster is a component of verified pairs, so it joins pairs too that are less alike than the
threshold, or were not compared. `precision` is the share of verified pairs among all pairs of
different texts that are in one cluster: at least so many reach the threshold. Equal texts are one.

By Spark that is two shuffles of a cluster and a key for each text; of a batch in this process, a
few sorts.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.dedup import pieces
from sparkmine.dedup.checkpoint import cut, release
from sparkmine.dedup.exact import EXAMPLES, LETTERS
from sparkmine.dedup.flow import Here
from sparkmine.dedup.known import Among

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


def by_spark(rows: DataFrame, pairs: DataFrame, verified: int | None = None) -> Verified:
    """Of texts on the executors.

    Args:
        rows: [id, key, cluster] of the texts, the id's column first.
        pairs: [a, b, similarity], the verified pairs of keys.
        verified: How many there are, if all are between keys of `rows`; others are left out.
    """
    from pyspark.sql import functions as F

    id = rows.columns[0]
    keyed = rows.where("key is not null")
    sizes = keyed.select("cluster", "key").distinct().groupBy("cluster").count()
    joined = sizes.agg(F.sum(F.expr("count * (count - 1) div 2"))).first()
    held = None
    if verified is None:
        keys = keyed.select("key").distinct()
        for side in ("a", "b"):
            pairs = pairs.join(keys.withColumnRenamed("key", side), side, "left_semi")
        held, counts = cut(pairs, pairs=F.count("*"))
        pairs, verified = held, int(counts["pairs"])
    least = pairs.orderBy("similarity", "a", "b").limit(EXAMPLES).collect() if verified else []
    if held is not None:
        release(held)
    wanted = {row[side] for row in least for side in ("a", "b")}
    named = keyed.where(F.col("key").isin(*wanted)).groupBy("key").agg(F.min(id)) if wanted else ()
    ids = dict(map(tuple, named.collect() if named else ()))
    shown = tuple((row["similarity"], ids[row["a"]], ids[row["b"]]) for row in least)
    return Verified(int(joined[0] or 0) if joined else 0, verified, shown)


def here(rows: pa.Table, edges: Here) -> Verified:
    """Of texts in this process: rows [id, key, cluster], and the pieces of verified pairs."""
    keyed = rows.filter(pc.is_valid(rows["key"]))
    # The first row of a text has its least id.
    keyed = keyed.take(pc.sort_indices(keyed[0]))
    keys, first = np.unique(_uints(keyed["key"]), return_index=True)
    texts = keyed.take(pa.array(first))
    sizes = texts["cluster"].value_counts().field("counts").to_numpy(zero_copy_only=False)
    joined = int((sizes * (sizes - 1) // 2).sum())
    found = [part for _, _, part in pieces.unpacked(edges.of(pieces.EDGES).batches)]
    if not found:
        return Verified(joined, 0)
    a, b, similarity = (np.concatenate(arrays) for arrays in zip(*found, strict=True))
    among = Among(keys)
    inside = among.mask(a) & among.mask(b)
    a, b, similarity = a[inside], b[inside], similarity[inside]
    # By keys as Spark has them, which are signed.
    order = np.lexsort((b.view(np.int64), a.view(np.int64), similarity))[:EXAMPLES]
    ids = [texts[0].take(pa.array(np.searchsorted(keys, end[order]))) for end in (a, b)]
    shown = zip(similarity[order].tolist(), *(part.to_pylist() for part in ids), strict=True)
    return Verified(joined, len(a), tuple(shown))


def texts_of(df: DataFrame, id: str, text: str, ids: Iterable[Any]) -> dict[Any, str]:
    """The beginnings of the texts of a few ids."""
    from pyspark.sql import functions as F

    wanted = list(ids)
    if not wanted:
        return {}
    some = df.where(F.col(id).isin(*wanted))
    return dict(map(tuple, some.select(id, F.substring(text, 1, LETTERS)).collect()))


def _uints(keys: pa.ChunkedArray) -> np.ndarray:
    return np.asarray(keys.to_numpy()).view(np.uint64)
