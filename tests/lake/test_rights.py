"""A warehouse that belongs to somebody else: the errors of an ordinary user, in a process of it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from sparkmine.lake import Lake

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

NOBODY = 65534
# May read what root may, or it could not start the tests' Python; may write as its rights say.
AS_NOBODY = [
    *("setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"),
    *("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"),
]

# The session is made before sparkmine would make it, whose jars are looked up in the user's home.
PROGRAM = """
import json, sys
from pyspark.sql import SparkSession
root, jars, config, folders = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
builder = SparkSession.builder.master("local[1]").config("spark.jars", jars)
for key, value in {
    "spark.ui.enabled": "false",
    "spark.driver.memory": "1g",
    "spark.driver.host": "127.0.0.1",
    "spark.sql.extensions": "io.delta.sql.DeltaSparkSessionExtension",
    "spark.sql.catalog.spark_catalog": "org.apache.spark.sql.delta.catalog.DeltaCatalog",
}.items():
    builder = builder.config(key, value)
spark = builder.getOrCreate()
from sparkmine.cli import main
from sparkmine.errors import SparkmineError
from sparkmine.lake import Lake
for folder in folders:
    table = Lake(f"{root}/{folder}", spark).table("raw/log")
    found = {"case": folder, "rows": table.snapshot().dataframe(spark).count()}
    try:
        table.write(spark.range(9))
    except SparkmineError as error:
        found["error"] = str(error)
    print(json.dumps(found), flush=True)
print(json.dumps({"case": "run", "code": main(["run", config])}), flush=True)
"""
YAML = """
pipeline: small
warehouse: {folder}/all
stages:
  - stage: ingest
    name: ingest
    source: {{format: csv, path: rows.csv}}
    columns: {{id: int}}
    table: raw/log
"""


@pytest.mark.slow
def test_a_warehouse_of_somebody_else(spark: SparkSession, tmp_path: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can start a process of another user; see test_a_read_only_folder")
    if shutil.which("setpriv") is None:
        pytest.skip("needs setpriv (util-linux)")
    for folder in (tmp_path, *tmp_path.parents[:2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    home = tmp_path / "home"
    home.mkdir()
    home.chmod(0o777)
    # Which part of the warehouse may not be written; the others may.
    closed = {"all": ".", "table": "raw/log", "log": "raw/log/_delta_log"}
    before = {}
    for case, place in closed.items():
        lake = Lake(tmp_path / case, spark)
        table = lake.table("raw/log")
        for rows in (3, 4):
            table.write(spark.range(0, rows, 1, 1))
        before[case] = table.snapshot()
        open_to_all(Path(lake.root), Path(lake.root) / place)
    (tmp_path / "rows.csv").write_text("id\n1\n")
    (tmp_path / "small.yaml").write_text(YAML.format(folder=tmp_path))
    jars = spark.conf.get("spark.jars", "")
    done = subprocess.run(
        [
            *(*AS_NOBODY, sys.executable, "-c", PROGRAM),
            *(str(tmp_path), str(jars), str(tmp_path / "small.yaml"), *closed),
        ],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=home,
        env={
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": str(home),
            "TMPDIR": str(home),
            "SPARK_LOCAL_DIRS": str(home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": sys.executable,
            "JDK_JAVA_OPTIONS": f"-Djava.io.tmpdir={home}",
        },
    )
    assert done.returncode == 0, done.stderr[-2000:]
    answers = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    found = {answer.pop("case"): answer for answer in answers}
    assert {case: answer["rows"] for case, answer in found.items() if case != "run"} == (
        dict.fromkeys(closed, 4)
    )
    for case in closed:
        error = found[case].get("error", "")
        assert error.startswith("WAREHOUSE_UNWRITABLE") and "right" in error, (case, error)
        assert Lake(tmp_path / case, spark).table("raw/log").snapshot() == before[case]
    assert found["run"] == {"code": 1}
    assert "WAREHOUSE_UNWRITABLE" in done.stderr and f"{tmp_path}/all" in done.stderr


def open_to_all(root: Path, but: Path) -> None:
    """All may write below `root`, but only its owner in the folder `but` and below."""
    for path in (root, *root.rglob("*")):
        mine = path == but or but in path.parents
        path.chmod((0o755 if mine else 0o777) if path.is_dir() else (0o644 if mine else 0o666))
