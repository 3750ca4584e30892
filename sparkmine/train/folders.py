"""Folders that a fit writes: those of the driver, and passing ones of Spark's Python workers."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sparkmine.errors import ConfigError


@contextlib.contextmanager
def writing(argument: str, folder: str | Path) -> Iterator[None]:
    """Make of an OSError a ConfigError that names the argument of `fit` and its folder."""
    try:
        yield
    except OSError as error:
        raise ConfigError(
            f"{argument}={folder}: the driver cannot write there ({error.strerror})"
        ) from None


@contextlib.contextmanager
def of_worker(kind: str) -> Iterator[Path]:
    """Give a folder of this Python worker, which is deleted afterwards.

    A worker that is killed deletes nothing: then it goes with Spark's own folders, at the end of
    the executor or of the local session, of the application where a killed executor left them.
    """
    given = os.environ.get("SPARK_LOCAL_DIRS", "").split(",")
    writable = (folder for folder in given if folder and os.access(folder, os.W_OK | os.X_OK))
    with tempfile.TemporaryDirectory(prefix=f"sparkmine-{kind}-", dir=next(writable, None)) as made:
        yield Path(made)


@contextlib.contextmanager
def temporary_files(folder: Path) -> Iterator[None]:
    """Let all temporary files of this process go to `folder` meanwhile."""
    before, tempfile.tempdir = tempfile.tempdir, str(folder)
    try:
        yield
    finally:
        tempfile.tempdir = before
