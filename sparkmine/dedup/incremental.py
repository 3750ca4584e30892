"""Clusters of near copies that are kept in tables (`kept.py`), and follow what comes and goes.

An update compares new texts with the old and among themselves. The clusters that its edges touch
are single nodes of a small graph, whose components are clusters that merge: the least id of the old
ones stays. A deletion computes the clusters anew that it takes documents from, from the edges kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Literal

from sparkmine.dedup import joining, known, pieces
from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.components import labels_of
from sparkmine.dedup.documents import check_distinct, checked
from sparkmine.dedup.flow import Cut
from sparkmine.dedup.joining import BUCKETS, Joined, inside
from sparkmine.dedup.kept import Kept
from sparkmine.dedup.near import Matching, clustered, describe
from sparkmine.errors import ConfigError
from sparkmine.lake import Lake, Snapshot
from sparkmine.lake.inputs import as_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)


class NearDuplicateTables:
    """Near copies among the documents of all updates so far.

    Args:
        lake: Where the tables are.
        name: Folder of the tables, such as `near/pages`.
        id, text, threshold, shingle, size, recall: As for `near_duplicates`. They are kept with
            the tables and cannot change.

    Raises:
        ConfigError: the tables were made with other parameters, or by another version of the
            hashing.
    """

    def __init__(
        self,
        lake: Lake,
        name: str,
        id: str = "id",
        text: str = "text",
        threshold: float = 0.7,
        *,
        shingle: Literal["word", "char"] = "word",
        size: int | None = None,
        recall: float = 0.99,
    ) -> None:
        self.lake, self.name, self.id, self.text = lake, name, id, text
        self.matching = Matching.of(threshold, shingle, size, recall)
        made = f"{self.matching.version}/threshold-{self.matching.threshold}"
        self._kept = Kept(lake, name, id, made)
        before = self._kept.state.get("made", made)
        if before != made:
            raise ConfigError(
                f"the tables of {name} were made with {before}, not {made}; "
                "use those parameters, or another name and all documents"
            )

    def clusters(self) -> DataFrame:
        """[id, cluster], one row for each document.

        Raises:
            TableMissingError: there was no update yet.
        """
        self._kept.refresh()
        return self._kept.members().select(self.id, "cluster")

    def update(self, df: DataFrame | Snapshot) -> Mapping[str, int]:
        """Add documents; returns the figures of the run.

        Raises:
            ConfigError, DataError: as for `near_duplicates`; ids that are there already.
        """
        from pyspark.sql import functions as F

        documents = checked(as_frame(df, self.lake.spark), self.id, self.text)
        with self.lake.locked(f"{self.name}/near", f"near copies of {self.name}"):
            self._kept.roll_back()
            state = self._kept.state
            described = describe(documents, self.id, self.matching, BUCKETS, keep=True)
            found = self._how(described)(described, self.matching, self._kept)
            figures = dict(found.figures)
            if figures.pop("suspects"):
                check_distinct(documents, self.id)
            one = F.col(self.id) == F.col("cluster")
            rows, counts = cut(found.rows, clusters=F.count_if(one))
            figures |= {"rows": described.count(pieces.IDS), "new_clusters": counts["clusters"]}
            state = {
                "pieces": self._kept.append(found.pieces),
                "updates": state.get("updates", 0) + 1,
                "settled": state.get("settled", 0),
                "merged": state.get("merged", 0) + found.merged,
                "deleted": state.get("deleted", False),
                "figures": figures,
            }
            self._kept.commit(rows, "append" if state["updates"] > 1 else "overwrite", state)
            described.release()
            found.edges.release()
        logger.info("near duplicates of %s: %s", self.name, figures)
        return figures

    def delete(self, ids: DataFrame) -> None:
        """Remove documents and compute their clusters anew; ids that are unknown are ignored.

        Args:
            ids: Its first column has the ids.
        """
        from pyspark.sql import functions as F

        with self.lake.locked(f"{self.name}/near", f"near copies of {self.name}"):
            self._kept.roll_back()
            members = self._kept.members()
            gone = ids.select(F.col(ids.columns[0]).alias(self.id)).distinct()
            touched = members.join(gone, self.id, "left_semi").select("cluster").distinct()
            left = members.join(gone, self.id, "left_anti")
            again = left.join(touched, "cluster", "left_semi").select(*members.columns)
            again, _ = cut(again)
            alive = again.where("key is not null").select("key").distinct()
            inner = inside(self._kept.edges(), alive)
            clusters = clustered(again, labels_of(inner, BUCKETS)[0], self.id)
            rows = left.join(touched, "cluster", "left_anti").select(*members.columns)
            state = {**self._kept.state, "settled": self._kept.state["updates"]}
            state |= {"merged": 0, "deleted": True}
            self._kept.commit(rows.union(clusters), "overwrite", state)

    def _how(self, described: Cut) -> Callable[[Cut, Matching, Kept], Joined]:
        if not self._kept.state:
            return joining.first
        kinds = pieces.BANDS, pieces.IDS
        few = all(described.count(kind) <= known.MOST_HASHES for kind in kinds)
        return joining.here if few and self._kept.few_merged else joining.spread
