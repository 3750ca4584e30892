"""Quoted values that are never closed, against Python's reader of CSV."""

from __future__ import annotations

import csv
import random
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING

from sparkmine.clean.open_quotes import follower, unclosed

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


def is_open(text: str, delimiter: str = ",") -> bool:
    """Whether a line more would be a part of the last value."""
    lines = [f"{line}\n" for line in [*text.split("\n"), "END"]]
    return list(csv.reader(lines, delimiter=delimiter))[-1] != ["END"]


def texts(count: int) -> list[str]:
    letters = random.Random(5)
    return ["".join(letters.choices('a",\n', k=letters.randrange(12))) for _ in range(count)]


def test_lines_are_followed() -> None:
    step = follower(",", '"')
    found = {
        text: reduce(lambda at, line: step(line, at), text.split("\n"), False)
        for text in texts(5000)
    }
    assert found == {text: is_open(text) for text in found} and 0 < sum(found.values()) < len(found)
    step = follower("||", "'")
    assert step("a||'b", False) and not step("a||'b", True) and not step("b'||c'd", True)
    assert step("a|'b", True) is False and step("a|'b", False) is False


def test_splits_of_files(spark: SparkSession, tmp_path: Path) -> None:
    """Values go over the ends of splits of 64 bytes, and files end within one."""
    rows = '1,"a\n' + "b\n" * 100 + '""c"\n2,5"\n'
    files = {"good": rows * 3, "bad": rows + '3,"x\n' + "y\n" * 50, "short": '1,"\n'}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    name = "spark.sql.files.maxPartitionBytes"
    before = spark.conf.get(name)
    spark.conf.set(name, "64")
    try:
        text = spark.read.text(str(tmp_path))
        assert text.rdd.getNumPartitions() > 10
        found = unclosed(text, text.value, text.inputFiles(), delimiter=",", quote='"')
    finally:
        spark.conf.set(name, before or "128MB")
    assert sorted(Path(file).name for file in found) == ["bad", "short"]
    assert {name for name, text in files.items() if is_open(text)} == {"bad", "short"}
