"""PCA against scikit-learn, exact and randomized, on Arrow and on Spark."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import decomposition
from sklearn.preprocessing import StandardScaler

from sparkmine.errors import DataError, ModelError, RecipeError
from sparkmine.recipe import FittedRecipe, Recipe, operators
from sparkmine.recipe.block import AffineBlock
from sparkmine.recipe.selectors import select

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from sparkmine.lake import Lake

RNG = np.random.default_rng(3)
ROWS, SIZE = 900, 30
# Deviations that fall by a third each, on a mean that is far from 0.
DATA = RNG.normal(0, 1, (ROWS, SIZE)) * 0.75 ** np.arange(SIZE)
DATA = DATA @ np.linalg.qr(RNG.normal(0, 1, (SIZE, SIZE)))[0] + RNG.normal(50, 5, SIZE)
ALL = select("a", "b", "v")
Fit = Callable[..., Any]


def table(data: np.ndarray = DATA, kind: pa.DataType | None = None) -> pa.Table:
    """Two numbers and a list."""
    kind = kind or pa.list_(pa.float64())
    return pa.table({"a": data[:, 0], "b": data[:, 1], "v": pa.array(data[:, 2:].tolist(), kind)})


def of(found: pa.Table, name: str = "pca") -> np.ndarray:
    return np.array(found.column(name).to_pylist())


def angle(found: np.ndarray, expected: np.ndarray) -> float:
    """The largest angle between the spaces of columns [d, k]."""
    one, other = (np.linalg.qr(basis)[0] for basis in (found, expected))
    return math.asin(min(float(np.linalg.norm(other - one @ (one.T @ other), 2)), 1.0))


def same_but_signs(found: np.ndarray, expected: np.ndarray, **close: float) -> bool:
    return np.allclose(found * np.sign((found * expected).sum(axis=0)), expected, **close)


@pytest.mark.parametrize("method", ["gram", "randomized"])
@pytest.mark.parametrize("standardize", [False, True])
def test_equals_scikit_learn(fit: Fit, method: str, standardize: bool) -> None:
    operator = operators.PCA(columns=ALL, k=4, method=method, standardize=standardize, iterations=9)
    fitted = fit(operator, table())
    data = StandardScaler().fit_transform(DATA) if standardize else DATA
    reference = decomposition.PCA(4, svd_solver="full").fit(data)
    details = fitted.outcome.details
    assert details["components"] == 4 and details["method"] == method
    assert fitted.rounds == details["scans"] and (fitted.rounds == 1) == (method == "gram")
    ratio = details["explained_variance_ratio"]
    assert np.allclose(ratio[:4], reference.explained_variance_ratio_, rtol=1e-9)
    variances = np.array(details["explained_variance"][:4]) * ROWS / (ROWS - 1)
    assert np.allclose(variances, reference.explained_variance_, rtol=1e-9)
    (block,) = fitted.outcome.blocks.values()
    components = block.weights * (DATA.std(axis=0)[:, None] if standardize else 1.0)
    assert angle(components, reference.components_.T) < 1e-6
    assert (components.max(axis=0) >= -components.min(axis=0)).all()  # the largest is positive
    made = fitted.transform(table())
    assert made.schema.names == ["pca"]
    assert same_but_signs(of(made), reference.transform(data), atol=1e-7)


@pytest.mark.parametrize("method", ["gram", "randomized"])
def test_float32_is_close(fit: Fit, method: str) -> None:
    data = DATA - DATA.mean(axis=0) + 1e4  # a mean that float32 would lose 1e-3 of
    operator = operators.PCA(columns=ALL, k=4, method=method, precision="float32")
    (block,) = fit(operator, table(data)).outcome.blocks.values()
    assert 0.0 < angle(block.weights, decomposition.PCA(4).fit(data).components_.T) < 1e-3


@pytest.mark.parametrize("method", ["gram", "randomized"])
def test_without_centring_it_is_a_truncated_svd(fit: Fit, method: str) -> None:
    fitted = fit(operators.PCA(columns=ALL, k=3, center=False, method=method), table())
    reference = decomposition.TruncatedSVD(3, algorithm="arpack").fit(DATA)
    (block,) = fitted.outcome.blocks.values()
    assert angle(block.weights, reference.components_.T) < 1e-6
    assert same_but_signs(of(fitted.transform(table())), reference.transform(DATA), atol=1e-6)
    squares = np.array(fitted.outcome.details["explained_variance"][:3]) * ROWS
    assert np.allclose(squares, reference.singular_values_**2, rtol=1e-8)


def test_whitening(fit: Fit) -> None:
    fitted = fit(operators.PCA(columns=ALL, k=4, whiten=True), table())
    found = of(fitted.transform(table()))
    assert np.allclose(np.cov(found.T, bias=True), np.eye(4), atol=1e-9)
    reference = decomposition.PCA(4, svd_solver="full", whiten=True).fit(DATA)
    expected = reference.transform(DATA) * math.sqrt(ROWS / (ROWS - 1))
    assert same_but_signs(found, expected, atol=1e-8)


@pytest.mark.parametrize("standardize", [False, True])
@pytest.mark.parametrize("whiten", [False, True])
def test_way_back_and_error(fit: Fit, standardize: bool, whiten: bool) -> None:
    operator = operators.PCA(columns=ALL, k=5, standardize=standardize, whiten=whiten, error="far")
    fitted = fit(operator, table())
    made = fitted.transform(table())
    back = fitted.outcome.blocks["pca"].inverse_transform(of(made))
    scaler = StandardScaler(with_std=standardize).fit(DATA)
    data = scaler.transform(DATA)
    reference = decomposition.PCA(5, svd_solver="full").fit(data)
    expected = reference.inverse_transform(reference.transform(data))
    assert np.allclose(back, scaler.inverse_transform(expected), atol=1e-8)
    assert np.allclose(of(made, "far"), ((data - expected) ** 2).sum(axis=1), rtol=1e-6, atol=1e-12)
    assert fitted.outcome.infos["far"].kind == "number"


def test_share_of_variance(fit: Fit) -> None:
    details = fit(operators.PCA(columns=ALL, k=0.9), table()).outcome.details
    ratio, k = details["explained_variance_ratio"], details["components"]
    assert sum(ratio[:k]) >= 0.9 > sum(ratio[: k - 1]) and math.isclose(sum(ratio), 1.0)


def test_columns_of_every_kind_give_the_same(fit: Fit) -> None:
    operator = operators.PCA(columns=select("v"), k=2)
    expected = of(fit(operator, table()).transform(table()))
    for kind in (pa.large_list(pa.float64()), pa.list_(pa.float64(), SIZE - 2)):
        fitted = fit(operator, table())
        assert np.allclose(of(fitted.transform(table(kind=kind))), expected, atol=1e-12)


def test_memory_limit_chooses_the_method(fit: Fit) -> None:
    def method(limit: int, **parameters: Any) -> str:
        operator = operators.PCA(columns=ALL, k=2, memory_limit=limit, **parameters)
        return str(fit(operator, table()).outcome.details["method"])

    assert method(1 << 30) == "gram" and method(8 * SIZE * SIZE) == "randomized"
    assert method(1, method="gram") == "gram"
    with pytest.raises(RecipeError, match=r"30 columns.*memory_limit"):
        fit(operators.PCA(columns=ALL, k=0.5, memory_limit=1), table())


def test_more_columns_than_spark_ml_takes(fit: Fit) -> None:
    """Spark ML ends at 65,535 columns: its Gram matrix is one array."""
    rows, size = 40, 66_000
    data = RNG.normal(0, 1, (rows, 3)) * [9, 5, 3] @ RNG.normal(0, 1, (3, size)) / 100
    data += RNG.normal(5, 0.01, (rows, size))
    offsets = pa.array(np.arange(0, data.size + 1, size, dtype=np.int32))
    vectors = pa.table({"v": pa.ListArray.from_arrays(offsets, pa.array(data.ravel()))})
    fitted = fit(operators.PCA(columns=select("v"), k=3), vectors)
    _, values, directions = np.linalg.svd(data - data.mean(axis=0), full_matrices=False)
    assert fitted.outcome.details["method"] == "randomized"
    variances = fitted.outcome.details["explained_variance"][:3]
    assert np.allclose(variances, values[:3] ** 2 / rows, rtol=1e-6)
    (block,) = fitted.outcome.blocks.values()
    assert angle(block.weights, directions[:3].T) < 1e-6


@pytest.mark.parametrize("method", ["gram", "randomized"])
def test_few_rows_and_constant_columns(fit: Fit, method: str) -> None:
    def fitted(data: np.ndarray, **parameters: Any) -> Any:
        return fit(operators.PCA(columns=ALL, k=8, method=method, **parameters), table(data))

    few = fitted(DATA[:5])
    assert few.outcome.details["components"] == 4  # five rows differ in four directions
    assert np.allclose(
        few.outcome.blocks["pca"].inverse_transform(of(few.transform(table(DATA[:5])))), DATA[:5]
    )
    assert fitted(DATA[:5], center=False).outcome.details["components"] == 5
    flat = DATA[:, :5].copy()
    flat[:, 1] = 0.1
    same = fitted(flat, standardize=True)
    assert same.outcome.details["components"] == 4
    assert math.isclose(sum(same.outcome.details["explained_variance"]), 4.0, rel_tol=1e-9)
    for data in (np.full((6, 4), 0.1), DATA[:1]):
        constant = fitted(data, whiten=True, standardize=True)
        assert constant.outcome.details["components"] == 1
        assert np.allclose(of(constant.transform(table(data))), 0.0)


def test_mistakes_are_named(fit: Fit) -> None:
    operator = operators.PCA(columns=select("x", "v"), k=2)

    def data(x: list[Any], v: list[Any]) -> pa.Table:
        return pa.table({"x": pa.array(x, pa.float64()), "v": pa.array(v, pa.list_(pa.float64()))})

    with pytest.raises(DataError, match=r"x \(2\), v \(1\)"):
        fit(operator, data([1, None, math.nan], [[1, 2], [3, None], [4, 5]]))
    with pytest.raises(DataError, match=r"'v' has 2 elements .* 3 in another"):
        fit(operator, data([1, 2, 3], [[1, 2], [3, 4, 5], [6, 7]]))
    with pytest.raises(DataError, match="no rows"):
        fit(operator, data([], []))
    with pytest.raises(DataError, match="too large"):
        fit(operator, data([1e200, -1e200], [[1, 2], [3, 4]]))
    with pytest.raises(RecipeError, match="'w' is of kind text"):
        fit(operators.PCA(columns=select("w")), pa.table({"w": ["x"]}))
    good = data([1, 2, 4], [[1, 2], [3, 9], [4, 5]])
    fitted = fit(operator, good)
    for x, v, words in [
        ([1.0], [[1, 2, 3]], "'v' has 3 elements a row; the recipe was fitted on 2"),
        ([1.0, 2.0], [[1, 2], [1]], "'v' has 2 elements in its first row, but 1"),
        ([math.inf], [[1, 2]], "'x' has null, NaN or infinite"),
        ([1.0], [None], "'v' has null"),
    ]:
        with pytest.raises(DataError, match=words):
            fitted.transform(data(x, v))
    assert fitted.transform(good.slice(0, 0)).num_rows == 0
    for wrong in (
        {"k": 0}, {"k": 1.5}, {"k": True}, {"method": "svd"}, {"precision": "half"},
        {"output": None}, {"error": "pca"}, {"k": 0.5, "method": "randomized"}, {"iterations": -1},
    ):  # fmt: skip
        with pytest.raises(RecipeError):
            operators.PCA(**wrong)


def test_saved_blocks(fit: Fit, tmp_path: Path) -> None:
    fitted = fit(operators.PCA(columns=ALL, k=3, whiten=True, error="far"), table())
    for name, block in fitted.outcome.blocks.items():
        block.write(tmp_path / name)
        loaded = type(block).read(tmp_path / name)
        assert loaded.apply(table()).equals(block.apply(table()))
        assert loaded.inputs == ("a", "b", "v") and loaded.widths == (1, 1, SIZE - 2)
    loaded = AffineBlock.read(tmp_path / "pca")
    assert np.array_equal(loaded.inverse, fitted.outcome.blocks["pca"].inverse)
    with pytest.raises(ModelError, match="not a matrix"):
        AffineBlock.read(tmp_path / "far")


def test_on_a_table_of_spark(spark: SparkSession, lake: Lake, tmp_path: Path) -> None:
    source = lake.table("raw/rows")
    data = table(kind=pa.list_(pa.float32())).append_column("id", pa.array(range(ROWS)))
    source.write(spark.createDataFrame(data).repartition(3))
    seen = np.column_stack([DATA[:, :2], DATA[:, 2:].astype(np.float32)])
    for method in ("gram", "randomized"):
        recipe = Recipe(
            operators.PCA(columns=ALL, k=3, method=method, output="z", error="far"), keys=["id"]
        )
        fitted = recipe.fit(source.snapshot(), spark)
        (step,) = fitted.describe()
        assert fitted.scans == step["details"]["scans"]
        weights = fitted.steps[0].outcome.blocks["z"].weights
        assert angle(weights, decomposition.PCA(3).fit(seen).components_.T) < 1e-6
    fitted.save(tmp_path / "recipe")
    native = fitted.transform(source.snapshot().dataframe(spark)).toArrow().sort_by("id")
    local = FittedRecipe.load(tmp_path / "recipe").transform_arrow(data)
    assert native.schema.names == local.schema.names == ["id", "z", "far"]
    for name in ("z", "far"):
        assert np.allclose(of(native, name), of(local, name), rtol=1e-6, atol=1e-6)


def test_vectors_of_spark_ml(spark: SparkSession) -> None:
    from pyspark.ml.functions import array_to_vector
    from pyspark.sql import functions as F

    frame = spark.createDataFrame(table()).select("a", "v", array_to_vector("v").alias("w"))
    expected = Recipe(operators.PCA(columns=select("v"), k=2)).fit(frame.drop("w"))
    fitted = Recipe(operators.PCA(columns=select("w"), k=2)).fit(frame.drop("v"))
    pairs = [f.steps[0].outcome.blocks["pca"].weights for f in (expected, fitted)]
    assert np.allclose(*pairs, atol=1e-9)
    made = fitted.transform(frame.drop("v"))
    assert made.columns == ["a", "pca"] and made.filter(F.size("pca") == 2).count() == ROWS
