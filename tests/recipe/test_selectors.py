"""Selectors say the same in YAML and in Python."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

import sparkmine as sm
from sparkmine.errors import RecipeError
from sparkmine.recipe import Selector, operator_from, parse_selector
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.selectors import arrays, features

COLUMNS = [
    ColumnInfo("a", "number"),
    ColumnInfo("a_2", "number"),
    ColumnInfo("word", "text"),
    ColumnInfo("flag", "boolean"),
    ColumnInfo("day", "time"),
    ColumnInfo("tags", "array"),
    ColumnInfo("a_bucket", "bucket"),
    ColumnInfo("word_is_x", "one-hot"),
    ColumnInfo("word_index", "index"),
    ColumnInfo("pca", "vector"),
    ColumnInfo("it's 5%", "number"),
    ColumnInfo("raw", "other"),
]
number, everything = sm.numeric(), ~sm.select()

CASES: list[tuple[str, Selector, str]] = [
    ("numeric()", sm.numeric(), "a,a_2,it's 5%"),
    ("categorical()", sm.categorical(), "word,flag"),
    ("temporal()", sm.temporal(), "day"),
    ("text()", sm.text(), "word"),
    ("arrays()", arrays(), "tags"),
    ("features()", features(), "a,a_2,flag,a_bucket,word_is_x,pca,it's 5%"),
    ("select('day', 'a')", sm.select("day", "a"), "a,day"),
    ('[day, "it\'s 5%"]', sm.select("day", "it's 5%"), "day,it's 5%"),
    ("raw", sm.select("raw"), "raw"),
    ("starts_with('a_')", sm.starts_with("a_"), "a_2,a_bucket"),
    (r"matches(r'_\d$')", sm.matches(r"_\d$"), "a_2"),
    ("matches('INDEX|day')", sm.matches("INDEX|day"), "day"),
    ("numeric() & starts_with('a')", number & sm.starts_with("a"), "a,a_2"),
    ("text() | temporal()", sm.text() | sm.temporal(), "word,day"),
    ("numeric() - select('a')", number - sm.select("a"), "a_2,it's 5%"),
    ("~features()", ~features(), "word,day,tags,word_index,raw"),
    ("~select() - features()", everything - features(), "word,day,tags,word_index,raw"),
    ("~(features() | text())", ~(features() | sm.text()), "day,tags,word_index,raw"),
    # As in Python: ~ before -, - before &, & before |.
    (
        "text() | numeric() & ~starts_with('a') - temporal()",
        sm.text() | number & ~sm.starts_with("a") - sm.temporal(),
        "word,it's 5%",
    ),
    ("numeric() - select('a') - matches('5')", number - sm.select("a") - sm.matches("5"), "a_2"),
    ("numeric() - matches('^zzz')", number - sm.matches("^zzz"), "a,a_2,it's 5%"),
    ("starts_with('zzz')", sm.starts_with("zzz"), ""),
]


def names(selector: Selector) -> str:
    return ",".join(sorted((c.name for c in selector.pick(COLUMNS)), key=order.index))


order = [column.name for column in COLUMNS]


@pytest.mark.parametrize(("text", "selector", "expected"), CASES, ids=[case[0] for case in CASES])
def test_yaml_and_python_agree(text: str, selector: Selector, expected: str) -> None:
    (entry,) = yaml.safe_load(f"- {{operator: Standardize, columns: {quoted(text)}}}")
    parsed = operator_from(entry.pop("operator"), entry).columns
    assert parsed == selector
    assert sorted(names(selector).split(",")) == sorted(expected.split(","))
    assert parse_selector(str(selector)) == selector  # as saved recipes have it


def quoted(text: str) -> str:
    """As a person must write it inside braces: quotes where YAML would see a list's comma."""
    return '"' + text.replace("\\", "\\\\") + '"' if "," in text and text[0] != "[" else text


@pytest.mark.parametrize(
    "bad",
    [
        *("numeric", "word.x", "-numeric()", "numeric() + text()", "numeric() and text()"),
        *("starts_with()", "starts_with('a', 'b')", "numeric('a')", "select(a)", "matches(5)"),
        *(
            "matches('[')",
            "everything()",
            "numeric()[0]",
            "",
            "not numeric()",
            "select(names=['a'])",
        ),
    ],
)
def test_mistakes_are_refused(bad: str) -> None:
    with pytest.raises(RecipeError):
        parse_selector(bad).pick(COLUMNS)


@pytest.mark.parametrize("bad", [None, 5, {"a": 1}, [1, 2], [["a"]]])
def test_yaml_that_is_no_selector_is_refused(bad: Any) -> None:
    with pytest.raises(RecipeError, match="a list of names"):
        operator_from("Standardize", {"columns": bad})
