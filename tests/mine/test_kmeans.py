"""k-means against scikit-learn and NumPy; the three ways over the rows give the same clusters."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from sklearn import cluster, metrics

from sparkmine.errors import ConfigError, DataError, ModelError
from sparkmine.lake import Lake, Snapshot
from sparkmine.mine import KMeans, KMeansModel, choose_k
from sparkmine.mine.kmeans import fitting
from sparkmine.mine.kmeans import rows as ways
from sparkmine.mine.kmeans.choice import adjusted_rand, elbow, silhouette
from sparkmine.mine.kmeans.space import Space
from sparkmine.mine.kmeans.statistics import Draw, Nearest
from sparkmine.stats.gram import Gram

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

NAMES = ["a", "b", "c"]


def blobs(rows: int = 3_000, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Ten clouds far from each other, of unequal sizes, with a large offset in one column."""
    generator = np.random.default_rng(seed)
    centres = generator.normal(0, 30, (10, 3))
    truth = generator.choice(10, rows, p=np.arange(1, 11) / 55)
    values = centres[truth] + generator.normal(0, 1, (rows, 3))
    values[:, 1] += 1e7
    return values, truth


def held(values: np.ndarray, size: int = 700) -> ways.Held:
    """Rows as a fit holds them in memory."""
    names = tuple(f"x{i}" for i in range(values.shape[1]))
    arrays = [pa.array(column) for column in values.T]
    gram = Gram(names, largest=0)
    space = Space.of(names, gram.answer(gram.update(gram.zero(), arrays)))
    return ways.Held(space, space.blocks(arrays, size))


def fitted(values: np.ndarray, k: int, **more: object) -> KMeansModel:
    return fitting.fit_all([KMeans(k=k, **more)], held(values))[0]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def snapshot(spark: SparkSession, tmp_path_factory: pytest.TempPathFactory) -> Snapshot:
    values, truth = blobs()
    frame = pd.DataFrame(values, columns=NAMES).assign(truth=truth)
    table = Lake(tmp_path_factory.mktemp("kmeans") / "lake", spark).table("raw/blobs")
    table.write(spark.createDataFrame(frame).repartition(3))
    return table.snapshot()


@pytest.fixture(scope="module")
def model(snapshot: Snapshot) -> KMeansModel:
    return KMeans(k=10, seed=3).fit(snapshot, NAMES)


@pytest.mark.parametrize("kind", ["blobs", "noise"])
def test_inertia_is_that_of_scikit_learn(kind: str) -> None:
    values = blobs()[0] if kind == "blobs" else np.random.default_rng(2).random((4_000, 6))
    values = values - values.mean(axis=0)  # for scikit-learn's float64 products
    ours = fitted(values, 10, starts=5, max_iterations=100, tolerance=0.0)
    peer = cluster.KMeans(10, n_init=5, max_iter=100, tol=0.0, random_state=1).fit(values)
    assert ours.inertia == pytest.approx(peer.inertia_, rel=0.01)
    away = ((values[:, None] - ours.centres) ** 2).sum(axis=2)
    assert ours.inertia == pytest.approx(away.min(axis=1).sum(), rel=1e-6)
    assert ours.sizes.tolist() == np.bincount(away.argmin(axis=1), minlength=10).tolist()
    assert (np.diff(ours.sizes) <= 0).all()


def test_clusters_far_from_each_other_are_found(
    model: KMeansModel, snapshot: Snapshot, spark: SparkSession
) -> None:
    found = model.transform(snapshot.dataframe(spark))
    assert found.columns == [*NAMES, "truth", "cluster", "distance"]
    assert dict(found.dtypes)["cluster"] == "int"
    table = found.toPandas()
    assert metrics.adjusted_rand_score(table["truth"], table["cluster"]) == 1.0
    away = ((table[NAMES].to_numpy()[:, None] - model.centres) ** 2).sum(axis=2)
    assert (table["cluster"] == away.argmin(axis=1)).all()
    np.testing.assert_allclose(table["distance"], np.sqrt(away.min(axis=1)), rtol=1e-9)
    assert model.inertia == pytest.approx((table["distance"] ** 2).sum(), rel=1e-5)
    assert model.sizes.tolist() == table["cluster"].value_counts().sort_index().tolist()


def test_all_ways_over_the_rows_give_the_same(
    model: KMeansModel,
    snapshot: Snapshot,
    spark: SparkSession,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    frame = snapshot.dataframe(spark).repartition(2)
    # Ten clusters start right at once: few rounds of jobs.
    collected = KMeans(k=10, seed=3).fit(frame, NAMES)
    monkeypatch.setattr(ways, "SNAPSHOT_BYTES", 0)
    monkeypatch.setattr(ways, "FRAME_BYTES", 0)
    monkeypatch.setattr("sparkmine.stats.here.BYTES", 0)
    scanned = KMeans(k=10, seed=3).fit(snapshot, NAMES, spark)
    persisted = KMeans(k=10, seed=3).fit(frame, NAMES)
    for other in (collected, scanned, persisted):
        np.testing.assert_allclose(other.centres, model.centres, rtol=1e-9, atol=1e-5)
        assert other.sizes.tolist() == model.sizes.tolist()
        assert other.inertia == pytest.approx(model.inertia, rel=1e-6)
        assert other.iterations == model.iterations


def test_a_seed_decides_and_the_order_of_the_rows_does_not() -> None:
    values = np.random.default_rng(5).random((2_000, 4))
    one, again = fitted(values, 12, seed=1), fitted(values, 12, seed=1)
    assert one.inertia == again.inertia
    assert (one.centres == again.centres).all()
    turned = fitted(values[::-1].copy(), 12, seed=1)
    np.testing.assert_allclose(turned.centres, one.centres, rtol=1e-5)
    other = fitted(values, 12, seed=2)
    assert not np.allclose(other.centres, one.centres)
    best = fitted(values, 12, seed=1, starts=4)
    assert best.inertia <= one.inertia


def test_sums_and_draws_are_those_of_numpy() -> None:
    values = np.random.default_rng(6).normal(5, 2, (3_000, 4))
    rows = held(values)
    space = rows.space
    points = np.concatenate(rows.blocks).astype(np.float64)
    np.testing.assert_allclose(space.original(points), values, atol=1e-6)
    centres = points[:7]
    away = ((points[:, None] - centres) ** 2).sum(axis=2)
    labels, nearest = away.argmin(axis=1), away.min(axis=1)
    sums, drawn, far = rows.run(
        [
            Nearest(space=space, centres=centres),
            Draw(space=space, count=200, centres=centres, seed=9),
            Draw(space=space, count=5, centres=centres, seed=None),
        ]
    )
    assert sums.counts.tolist() == np.bincount(labels, minlength=7).tolist()
    expected = [points[labels == c].sum(axis=0) for c in range(7)]
    np.testing.assert_allclose(sums.sums, expected, rtol=1e-9, atol=1e-9)
    assert sums.inertia(centres) == pytest.approx(nearest.sum(), rel=1e-9)
    np.testing.assert_allclose(-far.keys, np.sort(nearest)[::-1][:5], rtol=1e-9)
    # Copies of the centres are never drawn, though float32 products put them a little away.
    copies = ways.Held(space, [np.repeat(rows.blocks[0][:7], 9, axis=0)])
    (none,) = copies.run([Draw(space=space, count=20, centres=centres, seed=9)])
    assert not len(none.rows)
    # Drawn by squared distance: far above the mean of all rows, and no centre among them.
    taken = ((drawn.rows[:, None] - centres) ** 2).sum(axis=2).min(axis=1)
    assert len(np.unique(drawn.ids)) == 200
    assert taken.min() > 0
    weighted = (nearest**2).sum() / nearest.sum()
    assert taken.mean() == pytest.approx(weighted, rel=0.15)


@pytest.mark.parametrize(
    ("values", "k", "sizes"),
    [
        ([[1.0, 2.0]], 1, [1]),
        ([[1.0, 2.0]], 3, [1]),
        ([[1.0, 7.0]] * 6, 2, [6]),
        ([[0.1, 7.0]] * 5 + [[0.2, 7.0]] * 3 + [[0.1, 8.0]] * 2, 5, [5, 3, 2]),
        ([[1e15, 0.0]] * 4 + [[1e15 + 4, 0.0]] * 2, 2, [4, 2]),
        ([[1e-20], [1e-20], [3e-20]], 2, [2, 1]),
    ],
)
def test_few_different_rows(values: list[list[float]], k: int, sizes: list[int]) -> None:
    found = fitted(np.array(values), k)
    assert found.sizes.tolist() == sizes
    different, counts = np.unique(values, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")
    np.testing.assert_allclose(found.centres, different[order], rtol=1e-6)
    assert found.inertia == pytest.approx(0.0, abs=1e-9)


def test_a_cluster_without_rows_takes_the_farthest(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.array([[0.0], [1.0], [10.0], [11.0], [100.0]])

    def bad(space: Space, k: int, seed: int) -> object:
        yield Nearest(space=space, centres=np.zeros((1, 1)))
        # Nothing is nearest to the second one.
        return (np.array([[0.5], [9999.0], [10.5]]) - space.shift) * space.scale

    monkeypatch.setattr(fitting, "first_centres", bad)
    found = fitted(values, 3)
    assert sorted(found.centres[:, 0].tolist()) == pytest.approx([0.5, 10.5, 100.0], rel=1e-5)


def test_lists_and_rows_with_gaps(spark: SparkSession, tmp_path: Path) -> None:
    values, truth = blobs(400)
    frame = pd.DataFrame({"v": list(values[:, :2]), "c": values[:, 2], "truth": truth})
    rows: DataFrame = spark.createDataFrame(frame).coalesce(1)
    found = KMeans(k=10, starts=3).fit(rows, ["v", "c"])
    assert found.elements == ("v[0]", "v[1]", "c")
    found.save(tmp_path / "model")
    again = KMeansModel.load(tmp_path / "model")
    assert (again.centres == found.centres).all()
    assert again.describe() == found.describe()
    gaps = (
        rows.limit(3)
        .selectExpr("if(c = c, v, v) v", "c")
        .unionByName(
            spark.sql("select array(1D, 2D) v, cast(null as double) c union all select null, 1D")
        )
    )
    gaps = gaps.union(spark.sql("select array(1D, double('nan')), 1D"))
    scored = again.transform(gaps).toPandas()
    assert scored["cluster"].isna().tolist() == [False] * 3 + [True] * 3
    assert scored["distance"].isna().tolist() == [False] * 3 + [True] * 3
    with pytest.raises(DataError, match=r"null, NaN or infinite values in v \(2\), c \(1\)"):
        KMeans(k=2).fit(gaps, ["v", "c"])
    with pytest.raises(ConfigError, match="already has cluster"):
        again.transform(rows.selectExpr("*", "1 as cluster"))
    (tmp_path / "model" / "kmeans.json").write_text("{}")
    with pytest.raises(ModelError, match="was changed"):
        KMeansModel.load(tmp_path / "model")


def test_what_cannot_be_clustered(snapshot: Snapshot) -> None:
    for wrong in ({"k": 0}, {"k": 2, "starts": 0}, {"k": 2, "tolerance": -1.0}):
        with pytest.raises(ConfigError, match="at least"):
            KMeans(**wrong)  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="no column z"):
        KMeans(k=2).fit(snapshot, ["a", "z"])
    with pytest.raises(ConfigError, match="no features"):
        KMeans(k=2).fit(snapshot, [])
    with pytest.raises(ConfigError, match="a is named twice"):
        KMeans(k=2).fit(snapshot, ["a", "a"])
    with pytest.raises(DataError, match="there are no rows"):
        KMeans(k=2).fit(snapshot.where("a > 1e9"), ["a"])
    with pytest.raises(DataError, match="'x0' has values beyond"):
        fitted(np.array([[1e200], [-1e200]]), 2)


def test_profiles_name_what_is_high_and_low() -> None:
    values = np.zeros((100, 3))
    values[:20, 0], values[:20, 1] = 10.0, -10.0
    found = fitted(values, 2).profiles()
    assert [(p.size, p.share) for p in found] == [(80, 0.8), (20, 0.2)]
    # Deviation of 20 % tens: 4; the mean is 2 or -2.
    assert found[1].text == "high x0 (+2.0 sd), low x1 (-2.0 sd)"
    assert found[0].text == "low x0 (-0.5 sd), high x1 (+0.5 sd)"
    assert found[1].traits[0].mean == pytest.approx(10.0)


def test_k_is_chosen(snapshot: Snapshot) -> None:
    chosen = choose_k(snapshot, ["a", "c"], [1, 2, 3, 4, 8], seed=2, starts=2)
    assert [one.k for one in chosen.tried] == [1, 2, 3, 4, 8]
    assert chosen.tried[0].silhouette is None
    scores = [one.silhouette or 0.0 for one in chosen.tried]
    assert chosen.suggested == chosen.tried[int(np.argmax(scores))].k
    assert all(0.0 <= (one.stability or 0.0) <= 1.0 for one in chosen.tried)
    # The model of the suggested k is the one that a fit of this k alone gives.
    alone = KMeans(k=chosen.suggested, seed=2, starts=2).fit(snapshot, ["a", "c"])
    np.testing.assert_array_equal(chosen.model.centres, alone.centres)
    np.testing.assert_array_equal(chosen.model.sizes, alone.sizes)
    three = np.random.default_rng(4).normal(0, 1, (900, 2)) + 40 * np.eye(3)[:, :2].repeat(300, 0)
    inertia = [fitted(three, k, starts=3).inertia for k in (1, 2, 3, 4, 6, 8)]
    assert elbow([1, 2, 3, 4, 6, 8], inertia) == 3
    with pytest.raises(ConfigError, match="at least two"):
        choose_k(snapshot, ["a"], [3, 3])


def test_silhouette_and_agreement_are_those_of_scikit_learn() -> None:
    values, truth = blobs(1_200)
    noisy = np.where(np.random.default_rng(8).random(1_200) < 0.2, 3, truth)
    noisy[0] = 77  # alone
    assert silhouette(values, noisy) == pytest.approx(
        metrics.silhouette_score(values - values.mean(axis=0), noisy), abs=1e-7
    )
    assert adjusted_rand(truth, noisy) == pytest.approx(
        metrics.adjusted_rand_score(truth, noisy), abs=1e-12
    )
    assert adjusted_rand(truth, 20 - truth) == 1.0
