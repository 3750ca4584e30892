"""Words by hand-made tables, n-grams by scikit-learn, counts of terms by plain Python."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn.feature_extraction.text import CountVectorizer

from sparkmine.errors import ConfigError
from sparkmine.stats.stop_words import stop_words
from sparkmine.stats.terms import GroupDocuments, TermDocuments, TermPairs
from sparkmine.stats.tokens import Tokens

WORDS = [
    ("Don't stop; it’s 14.5oz, 1,000 (3)", ["don't", "stop", "it's", "14.5oz", "1,000", "3"]),
    ("rock'n'roll 'quoted' dogs' x_1", ["rock'n'roll", "quoted", "dogs", "x_1"]),
    ("state-of-the-art a/b 2%-milk", ["state", "of", "the", "art", "a", "b", "2", "milk"]),
    ("GROẞE Straße ſtop ÉCOLE E\u0301COLE", ["grosse", "strasse", "stop", "école", "école"]),
    ("ﬁne ＡＢＣ１２ ™ №5 ½", ["fine", "abc12", "tm", "no5", "1", "2"]),
    ("ΣΊΣΥΦΟΣ Ёлка Iİ", ["σίσυφοσ", "ёлка", "ii̇"]),
    ("我喜欢iPhone手机", ["我", "喜", "欢", "iphone", "手", "机"]),
    ("ひらカタカナ 한국어", ["ひ", "ら", "カタカナ", "한국어"]),
    ("हिन्दी नमस्ते। العَرَبِيَّة", ["हिन्दी", "नमस्ते", "العَرَبِيَّة"]),
    ("😀 a👍b \u00a0 ?! .5 5. 1..2 1.a", ["a", "b", "5", "5", "1", "2", "1", "a"]),
    ("", []),
    (None, []),
]
TEXTS = [
    "red wine 750 ml, red",
    "white wine 750 ml",
    "Red grapes",
    None,
    "the grapes of the wine",
    "",
    "white bread",
    "red",
]


def test_words_of_several_scripts() -> None:
    texts = pa.array([text for text, _ in WORDS])
    assert Tokens().lists(texts).to_pylist() == [words for _, words in WORDS]
    # A slice of an array, and texts one by one, are no different.
    assert Tokens().lists(texts.slice(2, 3)).to_pylist() == [words for _, words in WORDS[2:5]]
    for text, words in WORDS:
        assert Tokens().lists(pa.array([text], pa.string())).to_pylist() == [words]


def test_what_is_left_out() -> None:
    texts = pa.array(["The WINE of the red Isle", "Über allem: wine"])
    tokens = Tokens(stop_words=("THE", "über", "of"), min_length=4)
    assert tokens.lists(texts).to_pylist() == [["wine", "isle"], ["allem", "wine"]]
    kept = Tokens(lower=False, stop_words=("The",))
    assert kept.lists(texts).to_pylist()[0] == ["WINE", "of", "the", "red", "Isle"]
    # Runs are made of what is left.
    pairs = Tokens(ngrams=(2, 2), stop_words=("of", "the"))
    assert pairs.lists(texts).to_pylist()[0] == ["wine red", "red isle"]


def test_lists_of_stop_words() -> None:
    assert {"the", "and", "don't"} <= set(stop_words("english"))
    assert "und" in stop_words("german") and "the" not in stop_words("german")
    assert stop_words(["a", "b"]) == ("a", "b") and stop_words(None) == ()
    with pytest.raises(ConfigError, match=r"'klingon'.*danish"):
        stop_words("klingon")


@pytest.mark.parametrize("ngrams", [(1, 1), (2, 5), (2, 2)])
@pytest.mark.parametrize("unit", ["word", "character"])
def test_runs_equal_scikit_learn(unit: Any, ngrams: tuple[int, int]) -> None:
    texts = [text or "" for text in TEXTS]
    kind = {"word": "word", "character": "char_wb"}[unit]
    pattern = {"token_pattern": r"\w+"} if unit == "word" else {}
    reference = CountVectorizer(analyzer=kind, ngram_range=ngrams, **pattern)
    # Without the comma, which is a character to scikit-learn.
    texts = [text.replace(",", "") for text in texts]
    counts = reference.fit_transform(texts).toarray()
    names = reference.get_feature_names_out()
    found = Tokens(unit=unit, ngrams=ngrams).lists(pa.array(texts)).to_pylist()
    for row, terms in enumerate(found):
        expected = {names[place]: counts[row, place] for place in np.flatnonzero(counts[row])}
        assert Counter(terms) == expected


def test_wrong_parameters_are_refused() -> None:
    for make, match in [
        (lambda: Tokens(unit="line"), "word or character"),  # type: ignore[arg-type]
        (lambda: Tokens(ngrams=(2, 1)), "from 1 to 5"),
        (lambda: Tokens(unit="character", ngrams=(1, 11)), "from 1 to 10"),
        (lambda: Tokens(min_length=0), "min_length"),
    ]:
        with pytest.raises(ConfigError, match=match):
            make()


def state_of(stat: Any, *arrays: list[Any]) -> Any:
    """Of rows in two parts, merged."""
    columns = [pa.array(values) for values in arrays]
    parts = [
        stat.update(stat.zero(), [column.slice(start, 4) for column in columns]) for start in (4, 0)
    ]
    return stat.merge(*parts)


def plain(text: str | None) -> list[str]:
    return re.findall(r"\w+", (text or "").lower())


def test_documents_of_terms() -> None:
    stat = TermDocuments("t", top_k=4, min_count=2)
    counted = Counter(word for text in TEXTS for word in set(plain(text)))
    found = stat.join([stat.select(s) for s in stat.split(state_of(stat, TEXTS), 3)])
    assert found.top() == [("red", 3), ("wine", 3), ("750", 2), ("grapes", 2)]
    assert found.distinct == len(counted) and found.rows == sum(counted.values())


def test_documents_of_terms_by_group() -> None:
    groups = ["a", "a", "b", "b", None, "b", "b", "a"]
    stat = GroupDocuments("t", by="g")
    found = stat.select(state_of(stat, TEXTS, groups))
    expected = Counter(
        f"{group}\x1f{word}"
        for text, group in zip(TEXTS, groups, strict=True)
        if group is not None
        for word in set(plain(text))
    )
    assert dict(found.top()) == expected
    numbers = stat.select(state_of(stat, TEXTS, [1, 1, 2, 2, None, 2, 2, 1]))
    assert dict(numbers.top())["1\x1fred"] == 2


def test_pairs_of_terms() -> None:
    terms = ("wine", "red", "nothing", "750")
    found = state_of(TermPairs("t", Tokens(), terms), TEXTS)
    expected = np.zeros((4, 4), int)
    for text in TEXTS:
        there = [place for place, term in enumerate(terms) if term in plain(text)]
        for place in there:
            expected[place, place] += 1
        for one, other in combinations(there, 2):
            expected[one, other] += 1
            expected[other, one] += 1
    assert found.tolist() == expected.tolist()
