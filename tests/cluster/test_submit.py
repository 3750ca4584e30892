"""spark-submit to a standalone cluster, with the properties file that the project ships."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.lake import Lake, ledger

if TYPE_CHECKING:
    # Modules of the tests cannot be imported here: the fixture brings the object.
    from conftest import Cluster
    from pyspark.sql import SparkSession

PROPERTIES = Path(__file__).parents[2] / "deploy" / "standalone" / "spark.conf"
ROUND_TRIP = Path(__file__).with_name("round_trip.py")

SMALL = """
pipeline: small
warehouse: {warehouse}
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: numbers.csv}}
    columns: {{id: bigint, name: string}}
    table: raw/numbers
"""


def write_pipeline(folder: Path) -> Path:
    (folder / "numbers.csv").write_text("id,name\n1,one\ntwo,2\n3,three\n")
    file = folder / "small.yaml"
    file.write_text(SMALL.format(warehouse=folder / "warehouse"))
    return file


@pytest.mark.slow
def test_a_delta_table_written_by_two_executors(cluster: Cluster, tmp_path: Path) -> None:
    ended = cluster.submit(ROUND_TRIP, str(tmp_path / "lake"))
    assert ended.code == 0, ended.output[-4000:]
    (said,) = [line for line in ended.output.splitlines() if line.startswith("RESULT ")]
    assert json.loads(said.removeprefix("RESULT ")) == {
        "rows": 1500,
        "sum": 1500 * 1499 // 2,
        "version": 1,
        "master": cluster.master,
        "executors": 2,
        "pythons": [sys.executable],
        "time_zone": "UTC",
    }


@pytest.mark.slow
def test_a_stage_that_fails_ends_with_a_coded_error(
    cluster: Cluster, spark: SparkSession, tmp_path: Path
) -> None:
    file = write_pipeline(tmp_path)
    ended = cluster.submit("jobs/ingest.py", "--config", str(file))
    assert ended.code == 1
    (error,) = ended.coded_errors
    assert error.startswith("TOO_MANY_BAD_ROWS: ") and "1 of 3 rows" in error
    # What the executors wrote is what local mode reads.
    lake = Lake(tmp_path / "warehouse", spark)
    (row,) = lake.table("quarantine/ingest").snapshot().dataframe(spark).collect()
    assert json.loads(row["row"])["id"] == "two"
    assert lake.tables() == ["_ledger", "quarantine/ingest"]
    assert ("ingest", ledger.FAILED) in {(r["stage"], r["status"]) for r in ledger.read(lake)}


@pytest.mark.slow
def test_without_the_delta_jars_the_error_says_what_to_add(
    cluster: Cluster, tmp_path: Path
) -> None:
    lines = PROPERTIES.read_text().splitlines(keepends=True)
    bare = tmp_path / "bare.conf"
    bare.write_text("".join(line for line in lines if not line.startswith("spark.jars.packages")))
    file = write_pipeline(tmp_path)
    ended = cluster.submit("jobs/run.py", "--config", str(file), properties=bare)
    assert ended.code != 0
    (error,) = ended.coded_errors
    assert error.startswith("DELTA_JARS_MISSING: ")
    (needed,) = [line for line in lines if line.startswith("spark.jars.packages")]
    assert " ".join(needed.split()) in error


@pytest.mark.slow
def test_the_doctor_looks_at_the_executors(cluster: Cluster, tmp_path: Path) -> None:
    doctor = Path(__file__).parents[2] / "jobs" / "doctor.py"
    ended = cluster.submit(doctor, "--ranks", "2", "--warehouse", str(tmp_path / "lake"))
    assert ended.code == 0, ended.output[-4000:]
    said = [line for line in ended.output.splitlines() if line.startswith(("ok  ", "FAIL"))]
    assert f"ok    Python of the workers: as here, on {socket.gethostname()}" in said
    assert "ok    slots for training: 2 for 2 ranks" in said
    # No folder can be made where a file is: the driver cannot write there.
    (tmp_path / "file").touch()
    folder = str(tmp_path / "file" / "lake")
    ended = cluster.submit(doctor, "--ranks", "99", "--warehouse", folder)
    assert ended.code == 1
    failed = [line for line in ended.output.splitlines() if line.startswith("FAIL")]
    assert len(failed) == 2, failed
    assert f"warehouse={folder}: the driver cannot write there" in failed[0]
    assert "99 ranks need 99 slots at once" in failed[1]
