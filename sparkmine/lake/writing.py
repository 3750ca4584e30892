"""One commit for one write: conflicts are retried within bounds, lost acknowledgements recognised.

Delta decides by its log who was first. What it tells us can still mislead: a commit may be in the
log although the call failed, and Delta skips a write whose application transaction it has seen,
without a look at the rows. So each commit carries a token of its own, and is looked for by it.
"""

from __future__ import annotations

import itertools
import json
import logging
import random
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sparkmine.errors import CommitError, FingerprintError, WriteConflictError
from sparkmine.lake import log
from sparkmine.lake.difference import difference
from sparkmine.lake.failures import conflict

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, DataFrameWriter

    from sparkmine.lake.table import Table

logger = logging.getLogger(__name__)

ATTEMPTS = 5
# Doubled from one attempt to the next, and spread, so that two writers do not meet again.
PAUSE_SECONDS = 0.5


@dataclass(frozen=True)
class Write:
    """One write to a table whose lock is held.

    Attributes:
        scope: The condition whose rows are replaced; None for the whole table.
        application: Under which the same work is committed once after version `since`.
    """

    table: Table
    df: DataFrame
    writer: DataFrameWriter
    metadata: Mapping[str, Any]
    scope: str | None = None
    application: str | None = None
    since: int | None = None

    def commit(self) -> log.Commit:
        """Commit once.

        Raises:
            WriteConflictError: other writers were faster each time.
            FingerprintError: the application has committed other rows after `since`.
            CommitError: Delta took no commit and gave no reason.
        """
        for attempt in range(1, ATTEMPTS + 1):
            newest = log.newest_version(self.table.lake.spark, self.table.path)
            known = self._recognised(newest)
            if known is not None:
                return known
            done = self._save(newest)
            if isinstance(done, log.Commit):
                return done
            logger.warning("attempt %d of %d: %s", attempt, ATTEMPTS, done)
            if attempt == ATTEMPTS:
                raise done
            time.sleep(PAUSE_SECONDS * 2 ** (attempt - 1) * random.uniform(0.5, 1.5))
        raise AssertionError("the last attempt returns or raises")

    def _save(self, newest: int) -> log.Commit | WriteConflictError:
        """One attempt on a table at version `newest`."""
        token = uuid.uuid4().hex
        data = {**self.metadata, "commit": token, "application": self.application}
        writer = self.writer.option("userMetadata", json.dumps(data, default=str))
        if self.application is not None:
            # Transaction versions must grow, as the table's own do.
            writer = writer.option("txnAppId", self.application).option("txnVersion", newest + 1)
        try:
            writer.save(self.table.path)
        except Exception as error:
            found = self._find(newest, lambda data: data.get("commit") == token)
            if found is not None:
                logger.warning(
                    "table %s: version %d is committed, although the call failed: %s",
                    *(self.table.name, found.version, error),
                )
                return found
            kind = conflict(error)
            if kind is None:
                raise
            return WriteConflictError(
                f"table {self.table.name}: other writers were faster {ATTEMPTS} times ({kind}); "
                "nothing was written; run again when they have ended"
            )
        found = self._find(newest, lambda data: data.get("commit") == token)
        if found is not None:
            return found
        known = self._recognised(log.newest_version(self.table.lake.spark, self.table.path))
        if known is not None:
            return known
        raise CommitError(
            f"table {self.table.name}: Delta skipped the commit on version {newest}, and no other "
            "commit is of the same work; run again with --force"
        )

    def _recognised(self, newest: int) -> log.Commit | None:
        """The commit of the same application after `since`, if there is one.

        Raises:
            FingerprintError: its rows are not those of this write.
        """
        if self.application is None or self.since is None or newest <= self.since:
            return None
        found = self._find(self.since, lambda data: data.get("application") == self.application)
        if found is None:
            return None
        snapshot = self.table.snapshot(found.version)
        if self.scope is not None:
            snapshot = snapshot.where(self.scope)
        committed = snapshot.dataframe(self.table.lake.spark)
        differs = difference(committed, self.df, ("the table", "this run"))
        if differs is not None:
            what = differs.columns or "; ".join(
                [
                    f"{differs.only_left} rows only there, {differs.only_right} only here",
                    *differs.examples[:1],
                ]
            )
            raise FingerprintError(
                f"table {self.table.name}: version {found.version} holds other rows under the same "
                f"fingerprint ({what}); its stage does not give the same rows twice, or an input "
                "changed behind its fingerprint; find out which, then run again with --force"
            )
        logger.info("table %s: version %d is this work", self.table.name, found.version)
        return found

    def _find(self, since: int, mine: Callable[[dict[str, Any]], bool]) -> log.Commit | None:
        """The newest commit after version `since` whose metadata is ours."""
        newer = itertools.takewhile(lambda commit: commit.version > since, self.table.commits())
        return next((commit for commit in newer if mine(commit.metadata or {})), None)
