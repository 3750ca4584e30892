"""One Spark session for all local tests, and an empty lake for each test."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Lake


@pytest.fixture(scope="session")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkSession]:
    from sparkmine.session import session

    log_file = tmp_path_factory.mktemp("spark") / "spark.log"
    found = session(
        "tests",
        conf={"spark.master": "local[2]", "spark.driver.memory": "3g"},
        log_file=log_file,
    )
    yield found
    found.stop()


@pytest.fixture
def lake(spark: SparkSession, tmp_path: Path) -> Lake:
    from sparkmine.lake import Lake

    return Lake(tmp_path / "lake", spark)
