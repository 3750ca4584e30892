"""Embedded sessions map the classes that the installation archived."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from sparkmine.sessions import CLASS_ARCHIVE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_java_maps_the_class_archive(spark: SparkSession) -> None:
    process = spark.sparkContext._gateway.proc
    assert CLASS_ARCHIVE.exists()
    assert str(CLASS_ARCHIVE.resolve()) in Path(f"/proc/{process.pid}/maps").read_text()
