"""Errors that Python raises while a stage writes its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkmine.errors import DataError, InternalError, SparkmineError, WarehouseError
from sparkmine.pipeline import coded
from sparkmine.pipeline.failures import of_stage


def test_a_file_that_cannot_be_written_is_named() -> None:
    with pytest.raises(OSError) as full, Path("/dev/full").open("wb", buffering=0) as file:
        file.write(b"x")
    full.value.filename = "/dev/full"
    error = coded(full.value)
    assert isinstance(error, WarehouseError)
    assert "/dev/full cannot be used (No space left on device)" in str(error)


def test_a_file_that_is_not_there_is_no_such_error() -> None:
    with pytest.raises(OSError) as absent:
        Path("/no/such/file").read_text()
    assert isinstance(coded(absent.value), InternalError)


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (DataError("no rows"), "DATA_UNSUITABLE: stage good: no rows"),
        (DataError("stage good: no rows"), "DATA_UNSUITABLE: stage good: no rows"),
        (DataError("stage goods ran"), "DATA_UNSUITABLE: stage good: stage goods ran"),
        (ValueError("odd"), "INTERNAL: stage good: ValueError: odd"),
    ],
)
def test_the_line_of_a_failed_stage_names_it(error: Exception, line: str) -> None:
    found = of_stage(error, "good")
    assert str(found) == line
    assert isinstance(found, SparkmineError)


def test_an_interruption_stays_what_it_is() -> None:
    stopped = KeyboardInterrupt()
    assert of_stage(stopped, "good") is stopped
