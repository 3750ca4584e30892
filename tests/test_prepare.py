"""Embedded sessions map the classes that the installation archived."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.sessions import CLASS_ARCHIVE

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def test_java_maps_the_class_archive(spark: SparkSession) -> None:
    if not CLASS_ARCHIVE.exists():
        pytest.skip("this Java could not leave an archive when sparkmine was installed")
    process = spark.sparkContext._gateway.proc
    assert str(CLASS_ARCHIVE.resolve()) in Path(f"/proc/{process.pid}/maps").read_text()
