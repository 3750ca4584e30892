"""The names of the package are what they say, whatever was imported before."""

from __future__ import annotations

import importlib
import importlib.util

import pytest

import sparkmine


@pytest.mark.parametrize("name", sorted(set(sparkmine.__all__) - {"__version__"}))
def test_no_module_hides_a_name(name: str) -> None:
    """Importing `sparkmine.x` sets the package's attribute `x` to the module."""
    if importlib.util.find_spec(f"sparkmine.{name}") is not None:
        assert getattr(sparkmine, name) is importlib.import_module(f"sparkmine.{name}")
