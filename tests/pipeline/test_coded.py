"""Errors that Python raises while a stage writes its files."""

from __future__ import annotations

from pathlib import Path

import pytest

from sparkmine.errors import InternalError, WarehouseError
from sparkmine.pipeline import coded


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
