"""Folders that the driver writes for a fit."""

from __future__ import annotations

import contextlib
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
