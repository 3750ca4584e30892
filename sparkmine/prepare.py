"""The last step of the installation: Delta's jars, and an archive of the Java classes.

`python -m sparkmine.prepare` starts one embedded session, so that the jars are fetched where a
failure is seen, and does what every pipeline does: write, read, join and aggregate Delta tables,
through Arrow and Python too. When Java ends, it leaves the classes that it loaded as a file
(`-XX:ArchiveClassesAtExit`, JEP 350), which later sessions map into memory instead of loading,
checking and linking each class anew.
"""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from sparkmine.lake import Lake
from sparkmine.sessions import CLASS_ARCHIVE, java_options, session

if TYPE_CHECKING:
    import pyarrow as pa
    from pyspark.sql import SparkSession

log = logging.getLogger(__name__)

# Java writes the archive, some 200 MB, after the session's end.
_LONGEST = 300


def main() -> None:
    """Fetch the jars, load the classes, leave the archive."""
    log_file = Path(sys.prefix) / "spark-install.log"
    written = CLASS_ARCHIVE.with_suffix(f".{os.getpid()}.jsa")
    options = java_options("ArchiveClassesAtExit", written)
    spark = session(
        "sparkmine install", conf={"spark.driver.extraJavaOptions": options}, log_file=log_file
    )
    with tempfile.TemporaryDirectory() as folder:
        _work(spark, Path(folder))
        gateway = spark.sparkContext._gateway
        assert gateway is not None
        spark.stop()
    # Java ends when its standard input does.
    gateway.shutdown()
    gateway.proc.stdin.close()
    gateway.proc.wait(_LONGEST)
    if written.exists():
        written.replace(CLASS_ARCHIVE)
    else:  # such as a Java without an archive of its own classes, on which this one builds
        log.warning(
            "install: Java left no class archive, so sessions start slower; see %s", log_file
        )


def _work(spark: SparkSession, folder: Path) -> None:
    from pyspark.sql import functions as F

    table = Lake(folder, spark).table("raw/prepare")
    rows = spark.range(1000).withColumn("part", F.col("id") % 3)
    for mode in ("overwrite", "append"):
        table.write(rows, mode=mode, partition_by=["part"])
    read = table.snapshot().dataframe(spark)
    read.groupBy("part").agg(F.sum("id"), F.collect_list("id")).orderBy("part").collect()
    read.join(rows.groupBy("part").count(), "part").mapInArrow(_same, "id long").toArrow()
    file = folder / "rows.csv"
    file.write_text("id,part\n1,2\n")
    spark.read.csv(str(file), header=True, schema="id long, part long").collect()


def _same(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        yield batch.select(["id"])


if __name__ == "__main__":
    main()
