"""Estimators in tasks against the same estimators here; files, trust and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pyspark.sql import SparkSession
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sparkmine.errors import ConfigError, DataError, ModelError, TooLittleMemoryError
from sparkmine.mine import ScikitLearn, ScikitLearnModel
from sparkmine.mine.scikit import job, memory
from sparkmine.mine.scikit.rows import Reading
from sparkmine.mine.scikit.stored import dumped, loaded
from sparkmine.model import Model
from sparkmine.sessions import slots

FEATURES = ["spend", "visits", "taste"]
SCALED = {
    "steps": [
        ["scale", {"estimator": "sklearn.preprocessing:StandardScaler"}],
        [
            "model",
            {"estimator": "sklearn.linear_model:LogisticRegression", "parameters": {"C": 0.5}},
        ],
    ]
}


@pytest.fixture(scope="module")
def boosted(spark: SparkSession, households: Any) -> ScikitLearnModel:
    estimator = ScikitLearn(
        estimator="sklearn.ensemble:HistGradientBoostingClassifier", parameters={"max_depth": 3}
    )
    return estimator.fit(households.snapshot, FEATURES, "shops", seed=4, spark=spark)


def test_a_classifier_is_what_it_is_without_spark(
    spark: SparkSession, households: Any, boosted: ScikitLearnModel, tmp_path: Path
) -> None:
    ours = boosted.predict(households.matrix)
    alone = HistGradientBoostingClassifier(max_depth=3, random_state=4)
    alone.fit(households.matrix, households.rows["shops"])
    np.testing.assert_array_equal(ours, alone.predict_proba(households.matrix)[:, 1])
    assert boosted.widths == (1, 1, 2)
    assert boosted.details["rows"] == len(households.rows)
    # Saved, loaded, and by Spark, with rows that nothing can be said of.
    boosted.save(tmp_path / "model")
    model = Model.load(tmp_path / "model")
    frame = households.snapshot.dataframe(spark).selectExpr(
        "id",
        "case when visits = 0 then null when visits = 1 then double('nan') else spend end as spend",
        "visits",
        "if(visits = 2, null, taste) as taste",
    )
    scored = model.transform(frame)
    assert dict(scored.dtypes)["prediction"] == "double"
    found = scored.toArrow().sort_by("id").column("prediction").to_pylist()
    order = np.argsort(households.rows["id"])
    expected = [
        None if visits < 3 else score
        for visits, score in zip(households.rows["visits"][order], ours[order], strict=True)
    ]
    assert found == expected
    here = model.transform_arrow(frame.toArrow().sort_by("id"))
    assert here is not None and here.column("prediction").to_pylist() == expected


def test_several_classes_numbers_and_pipelines(spark: SparkSession, households: Any) -> None:
    rows, matrix = households.rows, households.matrix
    pipeline = ScikitLearn(
        estimator="sklearn.pipeline:Pipeline", parameters=SCALED, task="multiclass"
    )
    model = pipeline.with_parameters({"model__C": 2.0}).fit(
        households.snapshot, FEATURES, "kind", spark=spark
    )
    alone = make_pipeline(StandardScaler(), LogisticRegression(C=2.0)).fit(matrix, rows["kind"])
    scored = model.transform(households.snapshot.dataframe(spark)).toPandas()
    scored = scored.set_index("id").loc[rows["id"]]
    found = np.array(scored["probability"].tolist())
    np.testing.assert_allclose(found, alone.predict_proba(matrix), rtol=1e-9)
    assert (scored["prediction"].to_numpy() == alone.predict(matrix)).all()
    # A DataFrame goes through a scratch table; the forest has one thread, and float32.
    forest = ScikitLearn(
        estimator="sklearn.ensemble:RandomForestRegressor",
        parameters={"n_estimators": 5, "n_jobs": -1},
        task="regression",
        precision="float32",
    )
    frame = households.snapshot.dataframe(spark).coalesce(1)
    fitted = forest.fit(frame, FEATURES, "amount", seed=2, spark=spark)
    assert fitted.fitted().n_jobs == 1
    trees = RandomForestRegressor(n_estimators=5, random_state=2)
    trees.fit(matrix.astype(np.float32), rows["amount"])
    truth = trees.predict(matrix.astype(np.float32))
    # The same rows, in the order of another file: another forest, but no worse one.
    errors = [np.mean((p - rows["amount"]) ** 2) for p in (fitted.predict(matrix), truth)]
    assert errors[0] == pytest.approx(errors[1], rel=0.25)


def test_parameters_are_checked_before_anything_starts() -> None:
    forest = "sklearn.ensemble:RandomForestClassifier"
    for wrong, says in [
        ({"estimator": "sklearn.ensemble"}, "must be a module and a class"),
        ({"estimator": "sklearn.ensemble:Forest"}, "has no Forest"),
        ({"estimator": "nowhere.at_all:Forest"}, "No module named 'nowhere'"),
        ({"estimator": "subprocess:Popen"}, "no class with scikit-learn's interface"),
        ({"estimator": forest, "parameters": {"trees": 3}}, "no parameter trees; it has .*n_est"),
        ({"estimator": forest, "parameters": {"base__x": 3}}, "Invalid parameter 'base'"),
        ({"estimator": forest, "task": "regression"}, "is a classifier; the task is regression"),
        ({"estimator": "sklearn.linear_model:Lasso"}, "is no classifier; the task is binary"),
        ({"estimator": "sklearn.svm:LinearSVC"}, "gives no probabilities: wrap it in .*Calibrated"),
        ({"estimator": "sklearn.preprocessing:StandardScaler"}, "does not predict"),
        ({"estimator": forest, "precision": "float16"}, "float64 or float32"),
    ]:
        with pytest.raises(ConfigError, match=says):
            ScikitLearn(**wrong)  # type: ignore[arg-type]


def test_rows_that_cannot_be_learnt_from(spark: SparkSession, households: Any) -> None:
    logistic = ScikitLearn(estimator="sklearn.linear_model:LogisticRegression")
    snapshot = households.snapshot
    for features, label, error, says in [
        (["spend", "id"], "shops", ConfigError, "id is string, not a number"),
        (["spend", "spend"], "shops", ConfigError, "spend twice"),
        (["nothing"], "shops", ConfigError, "no column nothing"),
        (["spend"], "kind", DataError, "neither 0 nor 1 in"),
    ]:
        with pytest.raises(error, match=says):
            logistic.fit(snapshot, features, label, spark=spark)
    with pytest.raises(DataError, match="there are no rows"):
        logistic.fit(snapshot.where("week > 99"), ["spend"], "shops", spark=spark)
    broken = snapshot.dataframe(spark).selectExpr("if(week = 1, null, spend) as spend", "shops")
    with pytest.raises(DataError, match=r"null, NaN or infinite values in spend \(10\)"):
        logistic.fit(broken, ["spend"], "shops", spark=spark)
    with pytest.raises(ConfigError, match="The 'C' parameter of LogisticRegression must be"):
        ScikitLearn(estimator=logistic.estimator, parameters={"C": -1.0}).fit(
            snapshot, ["spend"], "shops", spark=spark
        )


def test_memory_is_estimated_before_anything_starts(
    spark: SparkSession, households: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    need = memory.Need(rows=1_000_000, width=40, itemsize=8, factor=3)
    assert need.bytes == 960_000_000 + memory.WORKER_BYTES
    estimator = ScikitLearn(estimator="sklearn.linear_model:LogisticRegression", memory_factor=1e6)
    monkeypatch.setattr(memory, "_available", lambda: 4_000_000_000)
    says = (
        r"about 19\.6 GB \(600 rows x 4 numbers x 8 bytes x 1e\+06, and .*\) in a task, which may "
        r"use 4\.0 GB: 4\.0 GB are free on .* for 1 tasks at once; take fewer columns"
    )
    with pytest.raises(TooLittleMemoryError, match=says):
        estimator.fit(households.snapshot, FEATURES, "shops", spark=spark)
    # Of rows that a condition cuts from the files those that are left count.
    some = households.snapshot.where("week <= 6")
    assert estimator.fit(some, FEATURES, "shops", spark=spark).details["rows"] == 60
    assert memory.share_of(spark, 8).bytes == 2_000_000_000  # two slots


class Stranger:
    """A class of no trusted package."""


def stranger(value: float) -> float:
    return value


def test_only_known_types_are_stored_and_read(
    households: Any, boosted: ScikitLearnModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from sklearn.preprocessing import FunctionTransformer
    from skops import io

    # A function could be any code: not even scikit-learn's and NumPy's own.
    scaler = StandardScaler().fit(households.matrix)
    for odd in (FunctionTransformer(stranger), FunctionTransformer(np.testing.assert_equal)):
        with pytest.raises(ModelError, match="which is not trusted"):
            dumped(odd, ("sklearn", "numpy"))
    scaler.extra_ = Stranger()
    data = io.dumps(scaler)
    with pytest.raises(ModelError, match=r"Stranger, which is not trusted.*environment variable"):
        loaded(data, ("sklearn",))
    boosted.save(tmp_path / "model")
    # A file that somebody exchanged, with the hash of the manifest made to fit.
    file, manifest = tmp_path / "model" / "estimator.skops", tmp_path / "model" / "manifest.json"
    file.write_bytes(data)
    with pytest.raises(ModelError, match="was changed since it was saved"):
        Model.load(tmp_path / "model")
    import hashlib

    facts = json.loads(manifest.read_text())
    facts["files"]["estimator.skops"] = hashlib.sha256(data).hexdigest()
    manifest.write_text(json.dumps(facts))
    with pytest.raises(ModelError, match="Stranger, which is not trusted"):
        Model.load(tmp_path / "model")

    with pytest.raises(ModelError, match="cannot be read"):
        loaded(b"PK nothing", ("sklearn",))


def test_a_worker_looks_through_its_imports_once(spark: SparkSession, households: Any) -> None:
    """Spark collects the garbage after each task; what was frozen is left out."""

    def work(rows: Any, threads: int) -> tuple[str, bytes]:
        import gc
        import os
        import time

        return json.dumps([os.getpid(), time.monotonic(), gc.get_freeze_count()]), b""

    reading = Reading.of(households.snapshot, FEATURES, "shops", "binary", "float64")
    works = [work] * (slots(spark) + 2)
    by_worker: dict[int, list[tuple[float, int]]] = {}
    for text, _ in job.run(reading, works, spark, 1.0):
        worker, at, frozen = json.loads(text)
        by_worker.setdefault(worker, []).append((at, frozen))
    later = [frozen for found in by_worker.values() for _, frozen in sorted(found)[1:]]
    assert later and min(later) > 10_000
