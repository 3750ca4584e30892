"""Checkpoints: what is read back, what is passed over, what is kept."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest

from sparkmine.train import checkpoint
from sparkmine.train.checkpoint import Begun, Checkpoint
from sparkmine.train.order import Rest


def make(epoch: int, identity: str = "fit") -> Checkpoint:
    arrays = [np.full((2, 3), epoch, np.float32), np.array(epoch, np.int64)]
    return Checkpoint(
        identity=identity, epoch=epoch, arrays=arrays, history=[{"epoch": epoch, "loss": 0.5}]
    )


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_newest_comes_back_and_two_are_kept(tmp_path: Path) -> None:
    for epoch in (1, 2, 3):
        checkpoint.save(tmp_path, make(epoch))
    assert names(tmp_path) == ["epoch-00002", "epoch-00003"]
    found = checkpoint.newest(tmp_path, "fit", epochs=5)
    assert found is not None
    assert (found.epoch, found.history) == (3, [{"epoch": 3, "loss": 0.5}])
    np.testing.assert_array_equal(found.arrays[0], np.full((2, 3), 3, np.float32))
    assert found.arrays[1].dtype == np.int64
    told: list[str] = []
    earlier = checkpoint.newest(tmp_path, "fit", epochs=2, warn=told.append)
    assert earlier is not None
    assert earlier.epoch == 2
    assert len(told) == 1 and "epoch-00003 has seen more than 2 epochs; ignored" in told[0]


@pytest.mark.parametrize("damage", ["truncate", "remove", "garble"])
def test_a_damaged_one_is_passed_over(tmp_path: Path, damage: str) -> None:
    checkpoint.save(tmp_path, make(1))
    checkpoint.save(tmp_path, make(2))
    arrays, state = tmp_path / "epoch-00002/state.npz", tmp_path / "epoch-00002/state.json"
    if damage == "truncate":
        arrays.write_bytes(arrays.read_bytes()[:-20])
    elif damage == "remove":
        arrays.unlink()
    else:
        state.write_text(state.read_text()[:-10])
    told: list[str] = []
    found = checkpoint.newest(tmp_path, "fit", epochs=5, warn=told.append)
    assert found is not None
    assert found.epoch == 1
    assert len(told) == 1 and "epoch-00002 is damaged (" in told[0]


def test_the_best_weights_are_kept_apart(tmp_path: Path) -> None:
    best = [np.full((2, 3), 7.0, np.float32)]
    checkpoint.save(tmp_path, dataclasses.replace(make(2), best=best))
    found = checkpoint.newest(tmp_path, "fit", epochs=5)
    assert found is not None
    assert found.best is not None
    np.testing.assert_array_equal(found.best, best)
    assert len(found.arrays) == 2


def test_another_fit_is_ignored_and_makes_room(tmp_path: Path) -> None:
    checkpoint.save(tmp_path, make(7, identity="other"))
    told: list[str] = []
    assert checkpoint.newest(tmp_path, "fit", epochs=9, warn=told.append) is None
    assert len(told) == 1 and "of another configuration or data; ignored" in told[0]
    checkpoint.save(tmp_path, make(1))
    assert names(tmp_path) == ["epoch-00001"]
    assert json.loads((tmp_path / "epoch-00001/state.json").read_text())["identity"] == "fit"


def test_no_folder_is_no_checkpoint(tmp_path: Path) -> None:
    assert checkpoint.newest(tmp_path / "none", "fit", epochs=1) is None


def test_within_an_epoch_of_rows_in_another_order(tmp_path: Path) -> None:
    """Positions in the order are of no use then; the epoch's beginning is, and it is still there"""
    rest = Rest(ranks=2, intervals=((4, 9),))
    begun = Begun(steps=2, rest=rest, losses={}, rows=8, draws=(), order_digest="one")
    checkpoint.save(tmp_path, make(1))
    for steps in (2, 4):
        begun = dataclasses.replace(begun, steps=steps)
        checkpoint.save(tmp_path, dataclasses.replace(make(1), begun=begun), keep=1)
    assert names(tmp_path) == ["epoch-00001", "epoch-00001-step-000000004"]
    told: list[str] = []
    found = checkpoint.newest(tmp_path, "fit", epochs=5, order_digest="one", warn=told.append)
    assert found is not None
    assert (found.epoch, found.begun) == (1, begun) and not told
    for other in ("two", None):
        found = checkpoint.newest(tmp_path, "fit", epochs=5, order_digest=other, warn=told.append)
        assert found is not None
        assert (found.epoch, found.begun) == (1, None)
        assert "step-000000004 is within an epoch, and the rows were written in" in told.pop()
    checkpoint.save(tmp_path, make(2), keep=1)
    assert names(tmp_path) == ["epoch-00002"]


def test_losses_of_an_epoch_that_other_ranks_began() -> None:
    """Two ranks read 40 rows each at a mean of 1.0, then one reads 20 at 0.5: 90 of 100."""
    rest = Rest(ranks=2, intervals=((40, 50), (90, 100)))
    losses = {"loss": 1.0, "other_loss": 0.0}
    begun = Begun(steps=4, rest=rest, losses=losses, rows=80, draws=())
    after = begun.and_then({"loss": 0.5, "other_loss": 1.0}, 20)
    assert after == {"loss": pytest.approx(0.9), "other_loss": pytest.approx(0.2)}


def test_within_an_epoch(tmp_path: Path) -> None:
    """Later steps come after earlier ones and before the end of the epoch."""
    rest = Rest(ranks=3, intervals=((4, 9), (20, 21)))
    begun = Begun(steps=30, rest=rest, losses={"loss": 0.25}, rows=960, draws=(30, 60))
    for steps in (30, 4):
        within = dataclasses.replace(make(1), begun=dataclasses.replace(begun, steps=steps))
        checkpoint.save(tmp_path, within, keep=3)
    checkpoint.save(tmp_path, make(1), keep=3)
    assert checkpoint.newest(tmp_path, "fit", epochs=1) is not None
    assert checkpoint.newest(tmp_path, "fit", epochs=1).begun is None  # type: ignore[union-attr]
    checkpoint.save(tmp_path, dataclasses.replace(make(1), begun=begun), keep=3)
    found = checkpoint.newest(tmp_path, "fit", epochs=2)
    assert found is not None
    assert (found.epoch, found.begun) == (1, begun)
    checkpoint.save(tmp_path, make(2), keep=3)
    found = checkpoint.newest(tmp_path, "fit", epochs=2)
    assert found is not None
    assert (found.epoch, found.begun) == (2, None)
