"""Clusters of near copies that are kept in tables (`kept.py`), and follow what comes and goes.

An update compares new texts with the old and among themselves. The clusters that its edges touch
are single nodes of a small graph, whose components are clusters that merge: the least id of the old
ones stays. A deletion computes the clusters anew that it takes documents from (`leaving.py`).

Documents may come in parts, such as days: a part that comes again replaces what is there of it. The
first ones are found as `near_duplicates` finds them, all parts at once.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal

from sparkmine.dedup import joining, known, pieces
from sparkmine.dedup.checkpoint import cut
from sparkmine.dedup.documents import check_distinct, check_schema, checked
from sparkmine.dedup.flow import Cut
from sparkmine.dedup.joining import BUCKETS, Joined
from sparkmine.dedup.kept import PART, ROWS, Kept
from sparkmine.dedup.leaving import leave
from sparkmine.dedup.near import Matching, describe
from sparkmine.dedup.small import Small
from sparkmine.dedup.verified import texts_of
from sparkmine.errors import ConfigError
from sparkmine.lake import Lake, Snapshot
from sparkmine.lake.inputs import as_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

logger = logging.getLogger(__name__)

_FIGURES = (
    *("rows", "distinct_texts", "pairs_compared", "edges", "large_buckets"),
    *("new_clusters", "merged"),
)


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
        if id in (*ROWS, PART):
            raise ConfigError(f"the id cannot be called {id!r} in tables of clusters; rename it")
        self.lake, self.name, self.id, self.text = lake, name, id, text
        self.matching = Matching.of(threshold, shingle, size, recall)
        made = f"{self.matching.version}/threshold-{self.matching.threshold}/{pieces.FORMAT}"
        self._kept = Kept(lake, name, id, made)
        before = self._kept.state.get("made", made)
        if before != made:
            raise ConfigError(
                f"the tables of {name} were made with {before}, not {made}; "
                "use those parameters, or another name and all documents"
            )

    @property
    def version(self) -> int | None:
        """The version of the clusters, by which `members` tells again what it tells now."""
        self._kept.refresh()
        return self._kept.version

    def clusters(self) -> DataFrame:
        """[id, cluster], one row for each document.

        Raises:
            TableMissingError: there was no update yet.
        """
        return self.members().select(self.id, "cluster")

    def members(self, version: int | None = None) -> DataFrame:
        """[id, cluster, part], one row for each document, as of now or of a version.

        Raises:
            TableMissingError: there was no update yet.
        """
        self._kept.refresh(version)
        return self._kept.members().select(self.id, "cluster", PART)

    def update(self, df: DataFrame | Snapshot) -> Mapping[str, Any]:
        """Add documents; returns the figures of the run.

        Raises:
            ConfigError, DataError: as for `near_duplicates`; ids that are there already.
        """
        with self._locked():
            return self._update(df, _of_part(None), {}, {}) or dict.fromkeys(_FIGURES, 0)

    def load(self, df: DataFrame, part: str, work: str = "") -> Mapping[str, Any]:
        """Make these all documents that there are, at the cost of `near_duplicates`.

        Args:
            df: The documents of all parts.
            part: Column with the name of each one's part.
            work: A name of this work. If it was done already, its figures are returned.

        Returns:
            The figures of `update`.

        Raises:
            ConfigError, DataError: as for `near_duplicates`.
        """
        from pyspark.sql import functions as F

        parts = df.select(self.id, F.col(part).cast("string").alias(PART))
        with self._locked():
            figures: Mapping[str, Any] = self._done(work)
            if not figures:
                self._kept.forget()
                noted = {"work": work}
                figures = self._update(df, lambda rows: rows.join(parts, self.id), noted, {})
                if not figures:
                    self._kept.empty(noted)
            return {**dict.fromkeys(_FIGURES, 0), **figures}

    def delete(self, ids: DataFrame) -> None:
        """Remove documents and compute their clusters anew; ids that are unknown are ignored.

        Args:
            ids: Its first column has the ids.
        """
        with self._locked():
            self._delete(ids, {})

    def replace(self, df: DataFrame | Snapshot, part: str, work: str = "") -> Mapping[str, Any]:
        """Make these the documents of a part; documents that are as they were are left alone.

        Those that are gone, or whose text has changed, are deleted in a first commit, and those
        that are new or have changed are added in a second. Done again after it was killed in
        between, it goes on.

        Args:
            df: All documents of the part.
            part: Its name.
            work: A name of this work. If it was done already, its figures are returned.

        Returns:
            The figures of `update`, and how many were `deleted`.

        Raises:
            ConfigError, DataError: as for `near_duplicates`; ids that another part has.
        """
        with self._locked():
            done = self._done(work)
            before, deleted = self._kept.of_part(part), done.get("deleted", 0)
            if before is not None:
                documents = self._documents(df)
                gone, new, number = self._changes(documents, before)
                if number:
                    deleted += number
                    self._delete(gone, {"work": work, "figures": {"deleted": deleted}})
                df = documents.join(new, self.id, "left_semi")
            noted, more = {"work": work}, {"deleted": deleted}
            figures = self._update(df, _of_part(part), noted, more)
            return figures or {**dict.fromkeys(_FIGURES, 0), **done, "deleted": deleted}

    def _done(self, work: str) -> dict[str, Any]:
        """The figures of this work as far as it was done before it was killed."""
        same = bool(work) and self._kept.state.get("work") == work
        return dict(self._kept.state["figures"]) if same else {}

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        """Alone with the tables, as their truth says."""
        with self.lake.locked(f"{self.name}/near", f"near copies of {self.name}"):
            self._kept.refresh()
            self._kept.check_deletions()
            yield

    def _changes(self, documents: DataFrame, before: DataFrame) -> tuple[DataFrame, DataFrame, int]:
        """The ids that have to go, those that have to come, and the number of the first."""
        from pyspark.sql import functions as F

        described = describe(documents, self.id, self.matching, BUCKETS)
        rows = described.frame.where("kind is null").select(self.id, "key")
        check_distinct(rows, self.id)
        other = rows.select(F.col(self.id).alias("_id"), F.col("key").alias("_key"))
        equal = (F.col(self.id) == F.col("_id")) & F.col("key").eqNullSafe(F.col("_key"))
        gone, counts = cut(before.join(other, equal, "left_anti"), rows=F.count("*"))
        other = before.select(F.col(self.id).alias("_id"), F.col("key").alias("_key"))
        new, _ = cut(rows.join(other, equal, "left_anti").select(self.id))
        described.release()
        return gone.select(self.id), new, int(counts["rows"])

    def _update(
        self,
        df: DataFrame | Snapshot,
        named: Callable[[DataFrame], DataFrame],
        noted: Mapping[str, Any],
        more: Mapping[str, int],
    ) -> Mapping[str, Any]:
        """The figures and `more`; without documents nothing is done, and there are none.

        Args:
            named: Adds the part to rows [id, key, cluster].
        """
        state = self._kept.state
        described: Small | Cut | None = self._small(df)
        if described is None:
            documents = self._documents(df)
            described = describe(documents, self.id, self.matching, BUCKETS, keep=True)
        rows = described.count(pieces.IDS)
        if not rows:
            return {}
        found = self._joined(described)
        figures: dict[str, Any] = dict(found.figures)
        if figures.pop("suspects"):
            check_distinct(self._documents(df), self.id)
        figures |= {"rows": rows, "new_clusters": found.clusters, "merged": found.merged, **more}
        logger.info("near duplicates of %s: %s", self.name, figures)
        figures |= found.pairs.figures(self._beginnings(df, described, found.pairs.ids))
        state = {
            **noted,
            "updates": state.get("updates", 0) + 1,
            "settled": state.get("settled", 0),
            "merged": state.get("merged", 0) + found.merged,
            "dead": state.get("dead", 0),
            "figures": figures,
        }
        self._kept.add(named(found.rows), found.pieces, state, gathered=found.gathered)
        described.release()
        found.edges.release()
        return figures

    def _beginnings(
        self, df: DataFrame | Snapshot, described: Small | Cut, ids: Sequence[Any]
    ) -> dict[Any, str]:
        """The beginnings of the texts of a few documents."""
        if isinstance(described, Small) and described.texts is not None:
            return described.beginnings(ids)
        return texts_of(as_frame(df, self.lake.spark), self.id, self.text, ids)

    def _delete(self, ids: DataFrame, noted: Mapping[str, Any]) -> None:
        left = leave(ids, self._kept, self.matching)
        state = {**self._kept.state, "settled": self._kept.state["updates"]}
        state |= {"merged": 0, "dead": left.dead, "work": "", **noted}
        self._kept.replace(left.rows, left.pieces, state)

    def _documents(self, df: DataFrame | Snapshot) -> DataFrame:
        return checked(as_frame(df, self.lake.spark), self.id, self.text)

    def _small(self, df: DataFrame | Snapshot) -> Small | None:
        """A small table beside which something is kept, described."""
        if not isinstance(df, Snapshot) or not self._kept.state or not self._kept.few_merged:
            return None
        if not {self.id, self.text} <= set(df.schema.names):
            return None  # which `checked` says
        check_schema(df.schema, self.id, self.text)
        return Small.read(df, self.id, self.text, self.matching)

    def _joined(self, described: Small | Cut) -> Joined:
        if isinstance(described, Small):
            return joining.here(described, self.matching, self._kept)
        if not self._kept.state:
            return joining.first(described, self.matching, self._kept)
        few = all(described.count(kind) <= known.MOST_HASHES for kind in (pieces.BANDS, pieces.IDS))
        if not few or not self._kept.few_merged:
            return joining.spread(described, self.matching, self._kept)
        return joining.here(Small.of(described, self.id), self.matching, self._kept)


def _of_part(part: str | None) -> Callable[[DataFrame], DataFrame]:
    """Says of rows that they are of one part."""
    from pyspark.sql import functions as F

    return lambda rows: rows.withColumn(PART, F.lit(part).cast("string"))
