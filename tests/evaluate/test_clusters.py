"""Agreement of clusters with the truth, against scikit-learn and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics.cluster import pair_confusion_matrix

from sparkmine.errors import DataError
from sparkmine.evaluate.clusters import pairwise, whole_clusters


@pytest.mark.parametrize("seed", range(5))
def test_pairs_are_counted_as_scikit_learn_does(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = rng.integers(0, 60, 200)
    found = np.where(rng.random(200) < 0.8, truth, rng.integers(0, 90, 200))
    # Ordered pairs, which is twice each.
    (_, wrong), (missed, right) = pair_confusion_matrix(truth, found)
    agreement = pairwise(truth.tolist(), [f"cluster {name}" for name in found.tolist()])
    assert agreement.precision == right / (right + wrong)
    assert agreement.recall == right / (right + missed)
    assert agreement.f1 == pytest.approx(2 * right / (2 * right + wrong + missed))


def test_whole_clusters_by_hand() -> None:
    #  True: ab cd e f; found: ab c d ef. Only ab is found as it is.
    truth, found = [1, 1, 2, 2, 3, 4], ["x", "x", "y", "z", "w", "w"]
    agreement = whole_clusters(truth, found)
    assert (agreement.precision, agreement.recall) == (1 / 4, 1 / 4)
    assert whole_clusters([1, 1, 2], [5, 5, 9]).f1 == 1.0


def test_edges_of_what_can_be_measured() -> None:
    alone = pairwise([1, 2, 3], [1, 2, 3])
    assert (alone.precision, alone.recall, alone.f1) == (1.0, 1.0, 1.0)
    assert pairwise([1, 1, 2, 2], [1, 2, 1, 2]).f1 == 0.0
    assert pairwise([], []).f1 == 1.0
    with pytest.raises(DataError, match="2 true clusters for 1 found"):
        pairwise([1, 2], [1])
