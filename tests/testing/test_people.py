"""Made-up people: the same from the same seed, with the faults that were asked for."""

from __future__ import annotations

import pytest

from sparkmine.errors import ConfigError
from sparkmine.testing.people import FIELDS, Noise, people


def test_the_seed_decides() -> None:
    assert people(200, seed=1).equals(people(200, seed=1))
    assert not people(200, seed=1).equals(people(200, seed=2))


def test_without_noise_copies_are_equal() -> None:
    quiet = Noise(typo=0, missing=0, abbreviated=0, swapped=0, moved=0, renewed=0)
    table = people(500, quiet, sizes=(0, 1)).to_pandas()
    assert len(table) == 500
    assert (table.groupby("truth").size() == 2).all()
    assert (table.groupby("truth")[list(FIELDS)].nunique() == 1).all().all()


def test_faults_are_as_frequent_as_asked() -> None:
    only = Noise(typo=0, missing=0.3, abbreviated=0, swapped=0, moved=0, renewed=0)
    table = people(2000, only, sizes=(0, 1)).to_pandas()
    # Half of the rows are copies.
    assert abs(table["phone"].isna().mean() - 0.15) < 0.03
    typos = Noise(typo=1, missing=0, abbreviated=0, swapped=0, moved=0, renewed=0)
    found = people(500, typos, sizes=(0, 1)).to_pandas().groupby("truth")["postcode"].nunique()
    assert (found == 2).mean() > 0.9
    with pytest.raises(ConfigError, match="noise is 'loud'; it is one of low, moderate, high"):
        people(10, "loud")
