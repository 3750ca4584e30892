"""Near-duplicate texts: MinHash finds candidates, exact Jaccard decides, components cluster.

One pass over the texts gives every document's set of hashed shingles (`shingles.py`) and its
bands (`signatures.py`). Documents with equal sets are one node from there on, whose key is a
64-bit hash of the set; another 64 bits are compared wherever keys meet. Then three shuffles of
arrays (`pieces.py`), none of which carries text:

1. bands, by their hash: documents of one bucket become candidate pairs (`candidates.py`);
2. sets, by key: those that some pair needs go on to the home of the pair;
3. pairs with both sets: the exact similarity (`jaccard.py`), and an edge where it is enough;

and connected components over the edges (`components.py`). The result depends on the texts and
ids alone, not on order or partitions.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sparkmine.dedup import pieces
from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.components import components, label_frame
from sparkmine.dedup.documents import check_distinct, checked, null_ids
from sparkmine.dedup.flow import Cut, Held
from sparkmine.dedup.known import Known
from sparkmine.dedup.shingles import Shingling
from sparkmine.dedup.signatures import Banding, banding
from sparkmine.dedup.tasks import (
    Answer,
    Compare,
    Describe,
    FindPairs,
    edge_frame,
)
from sparkmine.errors import ConfigError, DataError
from sparkmine.lake.inputs import as_frame

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    from sparkmine.lake import Snapshot

logger = logging.getLogger(__name__)

# Buckets are small enough for some of them to fit in any task.
_BUCKET_ROWS = 8192
_MAX_BUCKETS = 8192


@dataclass(frozen=True)
class Matching:
    """When two texts are near copies.

    Attributes:
        threshold: Least Jaccard similarity of their shingles.
        banding: The bands by which candidates are found.
    """

    threshold: float
    shingling: Shingling
    banding: Banding

    @classmethod
    def of(cls, threshold: float, shingle: str, size: int | None, recall: float) -> Matching:
        """Raises ConfigError for a parameter out of its range."""
        for name, value in (("threshold", threshold), ("recall", recall)):
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise ConfigError(f"{name} is {value!r}; it is a number")
        kind: Any = shingle
        width = (3 if shingle == "word" else 8) if size is None else size
        return cls(float(threshold), Shingling(kind, width), banding(threshold, recall))

    @property
    def version(self) -> str:
        return f"{self.shingling.kind}-{self.shingling.size}/{self.banding.version}"


@dataclass(frozen=True)
class Found:
    """Clusters and how they were found.

    Attributes:
        id: Name of the id's column.
        members: [id, key, cluster], a checkpoint; equal sets of shingles have equal keys, and
            texts without any have none.
        edges: Pieces of the verified pairs of keys.
        figures: Counts of the run: rows, distinct texts, pairs compared, edges, ...
    """

    id: str
    members: DataFrame
    edges: Held
    figures: Mapping[str, int]

    @property
    def clusters(self) -> DataFrame:
        """[id, cluster]"""
        return self.members.select(self.id, "cluster")

    def pairs(self) -> DataFrame:
        """[a, b, similarity]: the verified pairs of different keys."""
        return edge_frame(self.edges)


def near_duplicates(
    df: DataFrame | Snapshot,
    id: str = "id",
    text: str = "text",
    threshold: float = 0.7,
    *,
    shingle: Literal["word", "char"] = "word",
    size: int | None = None,
    recall: float = 0.99,
    spark: SparkSession | None = None,
) -> DataFrame:
    """Cluster texts that are near copies of one another.

    Two texts are near copies if the Jaccard similarity of their sets of shingles is at least
    `threshold`; clusters are the connected components of that relation. A pair whose similarity
    is just the threshold is found with probability `recall`, a more similar one with more; a
    pair that is found is always compared exactly.

    Texts without a letter or digit, and null, are clusters of their own. A text with fewer words
    than a shingle has one shingle of all its words, so it matches texts with the same words.

    Args:
        df: The documents, a DataFrame or a snapshot.
        id: Column with a distinct id for each row: a string, an integer, a date or a timestamp.
        text: String column.
        threshold: Least similarity, above 0 and at most 1.
        shingle: What texts are cut into, runs of words or of characters (for languages that do
            not part words by spaces).
        size: Words or characters in a shingle; 3 words or 8 characters unless given.
        recall: Probability of finding a pair at the threshold.
        spark: Session in which a snapshot is read; by default the active one.

    Returns:
        DataFrame [id, cluster], one row for each row of `df`; `cluster` is the least id of the
        cluster. It is a checkpoint (see `checkpoint.py`): computed now, once.

    Raises:
        ConfigError: a column that is missing or has another type, a parameter out of range.
        DataError: ids that are null or not distinct.
    """
    from pyspark.sql import DataFrame

    matching = Matching.of(threshold, shingle, size, recall)
    rows = None if isinstance(df, DataFrame) else df.rows
    found = find(as_frame(df, spark), id, text, matching, rows)
    found.edges.release()
    return found.clusters


def find(df: DataFrame, id: str, text: str, matching: Matching, rows: int | None = None) -> Found:
    """As `near_duplicates`, with the figures of the run."""
    documents = checked(df, id, text)
    count = documents.count() if rows is None else rows
    buckets = buckets_for(count)
    described = describe(documents, id, matching, buckets)
    edges, figures = compare(described, matching, buckets)
    labels, operations = components(edges, buckets)
    keyed = described.frame.where("kind is null")
    roots = label_frame(labels)
    members, more = cut(clustered(keyed, roots, id), **_counted(id))
    described.release()
    if figures.pop("suspects"):
        check_distinct(documents, id)
    figures = {
        "rows": described.count(pieces.IDS),
        "without_text": described.count(pieces.NO_TEXT),
        **figures,
        **more,
        "star_operations": operations,
    }
    logger.info("near duplicates: %s", figures)
    return Found(id, members, edges, figures)


def buckets_for(rows: int) -> int:
    """How many buckets documents are spread over; tasks take ranges of them."""
    return min(max(rows // _BUCKET_ROWS, 8), _MAX_BUCKETS)


def describe(
    rows: DataFrame, id: str, matching: Matching, buckets: int, *, keep: bool = False
) -> Cut:
    """One pass over the texts: rows [id, key], and pieces of sets, bands and hashes of ids.

    Args:
        keep: Also make the pieces of bands that `Known` reads.
    """
    from pyspark.sql import functions as F

    kind = rows.schema[id].dataType.simpleString()
    described = Cut(
        rows.select(*rows.columns, F.xxhash64(id).alias("_hash")).mapInArrow(
            Describe(matching.shingling, matching.banding, buckets, keep),
            f"`{id}` {kind}, key long, {pieces.SCHEMA}",
        ),
        *(pieces.IDS, pieces.BANDS, pieces.DOCUMENTS, pieces.NULL_IDS, pieces.NO_TEXT),
    )
    nulls = described.count(pieces.NULL_IDS)
    if nulls:
        described.release()
        raise null_ids(id, nulls)
    return described


def compare(
    described: Held, matching: Matching, buckets: int, known: Known | None = None
) -> tuple[Held, dict[str, int]]:
    """Candidate pairs and their exact similarity: pieces of edges.

    Args:
        known: Texts that were compared among themselves before; `described` was made to keep.
    """
    kinds: tuple[int, ...] = pieces.BANDS, pieces.IDS
    banded, size = described.of(*kinds), described.bytes(*kinds)
    if known is not None:
        old, old_size = known.bands(described, buckets)
        banded, size = banded.union(old), size + old_size
    found = banded.met(size, buckets).through(FindPairs(buckets))
    pairs = found.cut(pieces.LARGE_BUCKETS, pieces.SUSPECTS, pieces.REQUESTS)
    sets, size = described.of(pieces.DOCUMENTS), described.bytes(pieces.DOCUMENTS)
    if known is not None:
        old, old_size = known.sets(described, pairs, buckets)
        sets, size = sets.union(old), size + old_size
    answers = sets.union(pairs.of(pieces.REQUESTS)).met(size, buckets).through(Answer())
    compared = answers.union(pairs.of(pieces.PAIRS)).met(size, buckets)
    kinds = pieces.EDGES, pieces.COMPARED, pieces.DISTINCT, pieces.CLASHES
    edges = compared.through(Compare(matching.threshold)).cut(*kinds)
    large, suspects = pairs.count(pieces.LARGE_BUCKETS), pairs.count(pieces.SUSPECTS)
    pairs.release()
    clashes = edges.count(pieces.CLASHES)
    if clashes:
        raise DataError(
            f"{clashes} different texts have the same 64-bit hash, by chance; "
            "choose another shingle size"
        )
    return edges, {
        "distinct_texts": edges.count(pieces.DISTINCT),
        "pairs_compared": edges.count(pieces.COMPARED),
        "edges": edges.count(pieces.EDGES),
        "large_buckets": large,
        "suspects": suspects,
    }


def _counted(id: str) -> dict[str, Column]:
    """Aggregations over [id, cluster]."""
    from pyspark.sql import functions as F

    return {"clusters": F.count_if(F.col(id) == F.col("cluster"))}


def clustered(members: DataFrame, labels: DataFrame, id: str) -> DataFrame:
    """[id, key, cluster]: the least id of all documents whose sets are in one component."""
    from pyspark.sql import Window
    from pyspark.sql import functions as F

    rooted = members.where("key is not null").select(id, "key").join(labels, "key", "left")
    same = Window.partitionBy(F.coalesce("root", "key"))
    clustered = rooted.select(id, "key", F.min(id).over(same).alias("cluster"))
    alone = members.where("key is null").select(id, "key", F.col(id).alias("cluster"))
    return clustered.union(alone)
