"""Rows as files that every task can read straight into Arrow, copied only where they must be.

A snapshot inside the direct scan's allow-list is read where it lies. Anything else (a DataFrame,
or a snapshot that Spark must read) is written once to a scratch table, which is logged and
removed at the end.
"""

from __future__ import annotations

import contextlib
import logging
import shutil
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from sparkmine.errors import ConfigError
from sparkmine.lake.scan import DirectScanRefused, Scan
from sparkmine.lake.snapshot import Snapshot
from sparkmine.lake.table import Lake
from sparkmine.sessions import is_local

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

log = logging.getLogger(__name__)


@contextlib.contextmanager
def scannable(
    data: Snapshot | DataFrame,
    columns: Sequence[str],
    spark: SparkSession,
    scratch: str | Path | None = None,
) -> Iterator[Snapshot]:
    """Give `data` as a snapshot that `Scan.of` takes, for as long as the context lasts.

    Args:
        columns: What will be read of it.
        scratch: Folder for a scratch table; all tasks must see it.

    Raises:
        ConfigError: a scratch table is needed on a cluster and no folder is given.
    """
    frame = data
    if isinstance(data, Snapshot):
        try:
            Scan.of(data, columns)
        except DirectScanRefused as refusal:
            log.info("%s version %d: %s", data.path, data.version, refusal.reason)
            frame = data.dataframe(spark)
        else:
            yield data
            return
    assert not isinstance(frame, Snapshot)
    folder = _folder(spark, scratch, data)
    try:
        log.info("writing %s to the scratch table %s", ", ".join(columns), folder)
        table = Lake(folder, spark).table("rows")
        table.write(frame.select(*(f"`{name}`" for name in columns)))
        yield table.snapshot()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        log.info("removed the scratch table %s", folder)


def _folder(spark: SparkSession, scratch: str | Path | None, data: Snapshot | DataFrame) -> Path:
    name = f".sparkmine-scratch-{uuid.uuid4().hex}"
    if scratch is not None:
        return Path(scratch) / name
    if is_local(spark):
        return Path(tempfile.gettempdir()) / name
    if isinstance(data, Snapshot):
        # Where the tasks read the table, they can read what lies beside it.
        return Path(data.path).parent / name
    raise ConfigError(
        "training from a DataFrame on a cluster needs scratch=..., a folder that all executors "
        "see; or pass a snapshot of a table"
    )
