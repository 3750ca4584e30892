"""Scale, shape and outliers against scikit-learn and SciPy."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from sklearn import preprocessing

from sparkmine.errors import RecipeError
from sparkmine.recipe import operators
from sparkmine.stats.power import PowerMoments

NAN, INF = math.nan, math.inf
RNG = np.random.default_rng(4)
VALUES = RNG.gamma(2.0, 3.0, 4001) - 1.0
TABLE = pa.table({"x": VALUES})
AWKWARD = pa.table(
    {
        "x": [1.0, 3.0, None, NAN, INF, -INF, 2.0],
        "constant": [0.1] * 7,
        "zero": [0.0] * 7,
        "empty": pa.array([None] * 7, pa.float64()),
    }
)
SCALERS = [
    operators.MinMaxScale(),
    operators.MaxAbsScale(),
    operators.RobustScale(),
    operators.PowerTransform(),
    operators.QuantileTransform(),
    operators.Clip(method="iqr"),
    operators.Clip(method="zscore"),
]


def column(fit: Any, operator: Any, table: pa.Table = TABLE, name: str = "x") -> np.ndarray:
    found = fit(operator, table).transform(table).column(name)
    return np.array(found.to_pylist(), float)


def by_sklearn(scaler: Any, values: np.ndarray = VALUES) -> np.ndarray:
    return scaler.fit_transform(values[:, None])[:, 0]


def test_ranges_equal_scikit_learn(fit: Any) -> None:
    scaled = column(fit, operators.MinMaxScale(low=-2, high=3))
    assert np.allclose(scaled, by_sklearn(preprocessing.MinMaxScaler((-2, 3))), atol=1e-12)
    scaled = column(fit, operators.MaxAbsScale())
    assert np.allclose(scaled, by_sklearn(preprocessing.MaxAbsScaler()), atol=1e-12)
    scaled = column(fit, operators.RobustScale())
    assert np.allclose(scaled, by_sklearn(preprocessing.RobustScaler()), atol=0.02)


@pytest.mark.parametrize(
    "values",
    [
        VALUES,
        -VALUES,
        RNG.normal(5, 2, 3000),
        np.exp(RNG.normal(0, 1.5, 3000)),
        RNG.beta(5, 0.7, 2000) * 10,
        RNG.normal(0, 1e-3, 2000),
    ],
    ids=["gamma", "negative", "normal", "heavy", "beta", "tiny"],
)
def test_powers_equal_scipy(fit: Any, values: np.ndarray) -> None:
    table = pa.table({"x": values})
    expected, best = stats.yeojohnson(values)
    plain = fit(operators.PowerTransform(standardize=False), table)
    assert plain.rounds == 3
    found = np.array(plain.transform(table).column("x").to_pylist())
    if -4.9 < best < 4.9:
        assert np.allclose(found, expected, rtol=2e-2, atol=1e-2)
        state = PowerMoments("x", (best,))
        likelihood = state.update(state.zero(), [pa.array(values)]).likelihood[0]
        assert math.isclose(likelihood, stats.yeojohnson_llf(best, values), rel_tol=1e-9)
    scaled = column(fit, operators.PowerTransform(), table)
    assert abs(scaled.mean()) < 1e-9 and math.isclose(scaled.std(), 1.0, rel_tol=1e-9)


def test_lambda_equals_that_of_scipy(fit: Any) -> None:
    for values in (VALUES, np.exp(RNG.normal(0, 1, 3000)), RNG.normal(-3, 1, 3000)):
        table = pa.table({"x": values})
        best = stats.yeojohnson_normmax(values)
        fitted = fit(operators.PowerTransform(standardize=False), table)
        # λ is the slope at large numbers, on both sides of zero.
        probe = pa.table({"x": [1e4, 2e4]}) if best > 0 else pa.table({"x": [-1e4, -2e4]})
        one, two = fitted.transform(probe).column("x").to_pylist()
        expected = stats.yeojohnson(np.array(probe.column("x")), best)
        assert math.isclose(two / one, expected[1] / expected[0], rel_tol=1e-2)


def test_quantiles_equal_scikit_learn(fit: Any) -> None:
    scaled = column(fit, operators.QuantileTransform(quantiles=100))
    reference = preprocessing.QuantileTransformer(n_quantiles=100, subsample=None)
    assert np.allclose(scaled, by_sklearn(reference), atol=0.01)
    steps = np.repeat([1.0, 2.0, 5.0, 5.5], [300, 400, 200, 101])
    table = pa.table({"x": steps})
    scaled = column(fit, operators.QuantileTransform(quantiles=50), table)
    reference = preprocessing.QuantileTransformer(n_quantiles=50, subsample=None)
    assert np.allclose(scaled, by_sklearn(reference, steps), atol=0.02)
    fitted = fit(operators.QuantileTransform(), table)
    new = fitted.transform(pa.table({"x": [-INF, 0.0, 9.0, INF]})).column("x").to_pylist()
    assert new == [0.0, 0.0, 1.0, 1.0]


def test_limits_by_each_method(fit: Any) -> None:
    limits = {
        "quantile": np.quantile(VALUES, [0.01, 0.99]),
        "iqr": np.quantile(VALUES, [0.25, 0.75]) + np.array([-1.5, 1.5]) * stats.iqr(VALUES),
        "zscore": VALUES.mean() + np.array([-3, 3]) * VALUES.std(),
    }
    for method, (low, high) in limits.items():
        clipped = column(fit, operators.Clip(method=method))
        assert np.allclose(clipped, np.clip(VALUES, low, high), atol=0.05)
        outside = column(fit, operators.OutlierIndicator(method=method), name="x_outlier")
        expected = (low > VALUES) | (high < VALUES)
        assert set(outside) == {0.0, 1.0} and abs(outside.mean() - expected.mean()) < 2e-3
    wider = column(fit, operators.Clip(method="zscore", factor=4.0))
    assert math.isclose(wider.max(), min(VALUES.mean() + 4 * VALUES.std(), VALUES.max()))


@pytest.mark.parametrize("operator", SCALERS, ids=lambda o: type(o).__name__)
def test_holes_stay_and_flat_columns_are_defined(fit: Any, operator: Any) -> None:
    found = fit(operator, AWKWARD).transform(AWKWARD).to_pydict()
    assert found["x"][2] is None and math.isnan(found["x"][3])
    assert found["x"][0] < found["x"][6] < found["x"][1] <= found["x"][4]
    assert found["x"][5] <= found["x"][0]
    assert found["empty"] == [None] * 7
    assert len(set(found["constant"])) == 1 and math.isfinite(found["constant"][0])
    assert found["zero"] == [0.0] * 7


def test_outliers_of_awkward_columns(fit: Any) -> None:
    for method in ("quantile", "iqr", "zscore"):
        found = fit(operators.OutlierIndicator(method=method), AWKWARD).transform(AWKWARD)
        assert found.column("x_outlier").to_pylist() == [0, 0, 0, 0, 1, 1, 0]
        for name in ("constant", "zero", "empty"):
            assert found.column(f"{name}_outlier").to_pylist() == [0.0] * 7


def test_wrong_parameters_are_refused() -> None:
    for make, match in [
        (lambda: operators.MinMaxScale(low=1, high=1), "low < high"),
        (lambda: operators.QuantileTransform(quantiles=1), "at least 2"),
        (lambda: operators.Clip(method="z"), "quantile, iqr, zscore"),
        (lambda: operators.Clip(factor=2.0), "only with"),
        (lambda: operators.OutlierIndicator(method="iqr", factor=0.0), "above 0"),
        (lambda: operators.OutlierIndicator(low=0.5, high=0.1), "OutlierIndicator wants 0"),
    ]:
        with pytest.raises(RecipeError, match=match):
            make()
