"""The report's section on what a model goes by."""

from __future__ import annotations

import html
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparkmine.errors import DataError
from sparkmine.evaluate.explain import (
    Dependence,
    Example,
    Explanation,
    Importance,
    Importances,
    Point,
    Rule,
    Surrogate,
)
from sparkmine.evaluate.report import ReportData, render


def point(text: str, at: float, *means: float) -> Point:
    low, high = tuple(m - 0.05 for m in means), tuple(m + 0.05 for m in means)
    return Point(text=text, at=at, share=0.2, mean=means, low=low, high=high)


def explanation() -> Explanation:
    features = [
        Importance(
            feature=f"feature <{n}>",
            columns=(f"feature <{n}>",),
            importance=0.2 / (n + 1),
            low=0.1 / (n + 1),
            high=0.3 / (n + 1),
            repeats=(0.2 / (n + 1),) * 3,
        )
        for n in range(23)
    ]
    rules = [
        (0, "", 1.0, 0.3, False),
        (1, "age ≤ 4", 0.25, 0.1, True),
        (1, "age > 4", 0.75, 0.36, True),
    ]
    names = ("depth", "text", "share", "prediction", "leaf")
    return Explanation(
        model="averaging",
        table="features/rows",
        where="day > 20",
        task="binary",
        rows=2000,
        left_out=7,
        importances=Importances(metric="roc_auc", value=0.812, rows=2000, features=tuple(features)),
        dependence=(
            Dependence(
                feature="age",
                numeric=True,
                points=tuple(point(str(n), n, 0.2 + n / 20) for n in (1, 2, 3, 9)),
            ),
            Dependence(
                feature="shop",
                numeric=False,
                points=(point("north", 0, 0.4), point("south & west", 1, 0.5)),
            ),
        ),
        surrogate=Surrogate(
            depth=1,
            rules=tuple(Rule(**dict(zip(names, rule, strict=True))) for rule in rules),
            r2=0.61,
            agreement=0.9,
            rows=1400,
            held_out=600,
        ),
        expected=0.31,
        examples=(Example(row="id 5", prediction=0.9, reasons=("age 9 (+0.400)",)),),
    )


def page_of(found: Explanation, tmp_path: Path) -> str:
    report = ReportData(title="Rows", explanations=(found,))
    assert ReportData.from_json(report.to_json()) == report
    return render(report, tmp_path / "report.html").read_text()


def test_the_section_says_all_that_was_found(
    read_page: Callable[[str], Any], tmp_path: Path
) -> None:
    text = page_of(explanation(), tmp_path)
    page = read_page(text)
    assert len(page.ids) == len(set(page.ids)) and "explanation" in page.ids
    for words in (
        "ROC-AUC is 0.812",
        "7 rows without a score",
        "3 less important ones are not shown",
        "age > 4",
        "61.0\u00a0% of their variance",
        "decides 90.0\u00a0% of them",
        "rough picture",
        "from 0.310",
        "age 9 (+0.400)",
        "day > 20",
    ):
        assert words in page.text, words
    assert "feature <0>" in page.text and "<0>" not in text
    assert page_of(explanation(), tmp_path) == text


def test_several_classes_have_lines_of_their_own(
    read_page: Callable[[str], Any], tmp_path: Path
) -> None:
    whole = explanation()
    assert whole.surrogate is not None
    rules = tuple(replace(rule, prediction=1.0) for rule in whole.surrogate.rules)
    points = (point("1", 1, 0.2, 0.8), point("2", 2, 0.3, 0.7))
    curves = (Dependence(feature="age", numeric=True, points=points),)
    found = replace(
        whole,
        task="multiclass",
        classes=("cat", "dog"),
        expected=None,
        dependence=curves,
        surrogate=replace(whole.surrogate, rules=rules, r2=None),
        examples=(Example(row="id 5", prediction=0.9, reasons=(), label="dog"),),
    )
    page = read_page(page_of(found, tmp_path))
    assert "decides 90.0\u00a0% of other rows" in page.text and "rough" not in page.text
    assert page.text.count("cat") >= 1 and page.text.count("dog") >= 5
    few = replace(found, dependence=(), surrogate=None, examples=())
    text = html.unescape(page_of(few, tmp_path))
    assert "Partial dependence" not in text and "few rules" not in text
    with pytest.raises(DataError, match="no saved Explanation"):
        Explanation.from_json({"model": 3})


def test_the_section_fits_on_a_phone(
    widths_of: Callable[[str], list[tuple[int, int]]], tmp_path: Path
) -> None:
    for width, needed in widths_of(page_of(explanation(), tmp_path)):
        assert needed <= width
