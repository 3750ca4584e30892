"""Mistakes in the YAML are found before Spark starts, with file, line and key path."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from sparkmine.errors import ConfigError, SourceMissingError, SparkmineError
from sparkmine.pipeline import load_pipeline

Small = Callable[..., Path]


def edited(small: Small, old: str, new: str) -> Path:
    file = small()
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new, 1))
    return file


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("max_bad_fraction", "max_bad_fractoin", r"stages\[0\]\.max_bad_fractoin: .*did you mean"),
        ("minimum: 0", "minimun: 0", r"stages\[1\]\.columns\.amount\.minimun: unknown key"),
        ("max_depth: 3", "max_depth: deep", r"stages\[7\]\.model\.max_depth: .*'deep'"),
        (
            "max_depth: 3",
            "max_dept: 3",
            r"\.max_dept: .*did you mean 'max_depth'\? \(there .* min_rows",
        ),
        (
            "kind: tree, max_depth: 3",
            "kind: svm, l3: 1",
            r"\[7\]\.model\.l3: .*class_weight, folds",
        ),
        ("kind: tree", "kind: forest", r"stages\[7\]\.model: .*forest"),
        ("seed: 3", "seed: [3]", "seed: must be a whole number"),
        ("seed: 3", "seed: 3\nseed: 4", "seed: the key stands twice"),
        ("seed: 3", "sead: 3", "sead: unknown key; did you mean 'seed'"),
        ("stage: dedup", "stage: dedupe", r"stages\[2\]\.stage: .*did you mean 'dedup'"),
        ("    key: id\n", "    key: !!python/object:os.system id\n", "tag .* is not allowed"),
        ("    key: id\n", "    key: &a [id]\n    order: *a\n", "anchors and aliases"),
        ("input: clean/visits", "input: clean/visit", r"stages\[2\]\.input: no stage writes"),
        ("input: raw/visits", "input: unique/visits", "stages read each other's tables: "),
        ("table: unique/visits", "table: clean/visits", "is written by stage 'clean' already"),
        ("name: dedup", "name: clean", r"stages\[2\]\.name: stage 'clean' is there already"),
        ("fit_on: ${train}", "fit_on: ${trian}", r"\$\{trian\} is not among"),
        ("where: day = 24", "where: day = (select 1)", r"stages\[11\]\.where: .*Subquery"),
        ("operator: Standardize", "operator: Standardise", r"recipe\[1\].*no operator"),
        ("OneHot, columns:", "OneHot, top_k: many, columns:", r"recipe\[2\]: OneHot .*'many'"),
        ("OneHot, columns:", "OneHot, column:", r"recipe\[2\].*no parameter 'column'"),
        ("    input: clean/visits\n", "", r"stages\[2\]\.input: is missing"),
        ("stages:", "stages: {", "not YAML"),
        (
            "label: again\n    group: household",
            "label: again\n    task: regression\n    group: household",
            r"stages\[10\]\.models\.logistic: the task .* evaluate is regression, .* task binary;",
        ),
        (
            "evaluation: evaluation/models",
            "evaluation: scores/tree",
            r"stages\[11\]\.evaluation: scores/tree is written by stage tree, of kind classical",
        ),
        (
            "where: day = 24",
            "task: multiclass\n    where: day = 24",
            r"stages\[11\]\.evaluation: the task of stage predict is multiclass, .* task binary;",
        ),
    ],
)
def test_mistakes_name_their_place(small: Small, old: str, new: str, message: str) -> None:
    file = edited(small, old, new)
    with pytest.raises(ConfigError, match=message) as caught:
        load_pipeline(file)
    assert f"{file}:" in str(caught.value)


def test_the_optimizer_of_a_stage_is_checked(small: Small) -> None:
    file = small(training=True)
    text = file.read_text()
    file.write_text(
        text.replace("epochs: 3", "epochs: 3\n    optimizer: {name: adam, clipnorm: 1}")
    )
    optimizers = [getattr(stage, "optimizer", None) for stage in load_pipeline(file).stages]
    assert {"name": "adam", "clipnorm": 1.0} in optimizers
    file.write_text(text.replace("epochs: 3", "epochs: 3\n    optimizer: {name: adam, clip: 1}"))
    with pytest.raises(ConfigError, match=r"stage mlp: optimizer adam has no setting 'clip': bet"):
        load_pipeline(file)


def test_an_alias_bomb_and_deep_nesting_do_not_explode(tmp_path: Path) -> None:
    bomb = tmp_path / "bomb.yaml"
    levels = "".join(f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 12))
    bomb.write_text("a0: &a0 [lol]\n" + levels)
    with pytest.raises(ConfigError, match="aliases"):
        load_pipeline(bomb)
    bomb.write_text("a: " + "[" * 5000 + "]" * 5000)
    with pytest.raises(ConfigError, match="nested deeper"):
        load_pipeline(bomb)


def test_missing_files_are_named(small: Small, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nope\.yaml cannot be read"):
        load_pipeline(tmp_path / "nope.yaml")
    file = small()
    (file.parent / "visits.csv").unlink()
    with pytest.raises(SourceMissingError, match=r"small\.yaml:9: .*visits\.csv does not exist"):
        load_pipeline(file)


def test_settings_and_dates(small: Small) -> None:
    file = small()
    pipeline = load_pipeline(
        file, settings=["limit=77", "logistic.model.l2=0.5", "seed=9"], date="2026-01-31"
    )
    assert (pipeline.seed, pipeline.date) == (9, "2026-01-31")
    clean = pipeline.stage("clean").model_dump()
    assert clean["columns"]["amount"]["maximum"] == 77  # a lone ${name} keeps its type
    assert pipeline.stage("logistic").model_dump()["model"]["l2"] == 0.5
    for setting in ("limit", "nothing=1", "logistic.model.l3=1"):
        with pytest.raises(SparkmineError):
            load_pipeline(file, settings=[setting])
    with pytest.raises(ConfigError, match="stage 'logistics'; did you mean 'logistic'"):
        load_pipeline(file, settings=["logistics.model.l2=0.5"])
    with pytest.raises(ConfigError, match="no date"):
        load_pipeline(file, date="31.01.2026")
    with pytest.raises(ConfigError, match="did you mean 'logistic'"):
        pipeline.stage("logistics")


def test_stages_run_in_the_order_of_their_tables(small: Small) -> None:
    text = small().read_text()
    head, *blocks = text.split("  - stage: ")
    reverse = head + "".join("  - stage: " + block for block in reversed(blocks))
    file = small()
    file.write_text(reverse)
    names = load_pipeline(file).names
    assert names.index("ingest") < names.index("clean") < names.index("dedup")
    assert names.index("evaluate") < names.index("predict") and names[-1] == "report"


def test_reading_a_pipeline_is_quick_and_needs_no_tensorflow() -> None:
    root = Path(__file__).parents[2]
    code = (
        "import sys, sparkmine\n"
        "from sparkmine.pipeline import load_pipeline\n"
        f"load_pipeline({str(root / 'conf' / 'retail.yaml')!r})\n"
        "heavy = {'tensorflow', 'horovod', 'pyspark.ml', 'matplotlib'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
