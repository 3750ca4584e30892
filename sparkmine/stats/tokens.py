"""What a text is made of: one definition of words and n-grams for all that reads texts.

A text is brought into Unicode's form NFKC and its case is folded (UAX 15; the Unicode Standard,
3.13), so that ligatures, full-width letters and ß have one spelling. Words are those of UAX 29
(word boundaries), without its dictionaries: runs of letters, marks, digits and underscores of any
script; an apostrophe stays between letters (`don't`), a full stop or comma between digits (`14.5`,
`1,000`); hyphens and everything else part words. Han and Hiragana characters are words of their
own, as in UAX 29: take n-grams of them. Scripts without spaces that need a dictionary (Thai, Lao,
Khmer) are runs of letters. Emoji are no words. Other than in UAX 29 a full stop parts letters
(`e.g` is two words).

Blocks of texts are split at ASCII separators by Arrow; everything else happens once for each
different piece of a block.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ConfigError

Unit = Literal["word", "character"]
MAX_WORDS, MAX_CHARACTERS = 5, 10

# ASCII characters that can be part of no word; other scripts' are told apart piece by piece.
_BETWEEN = r"[\x00-&(-+\-/:-@\[-^`{-\x7f]+"
_PLAIN = r"^[0-9a-z_]+$"
_END = "\x1f"
_LETTER = r"[^\P{L}\p{Han}\p{Hiragana}]"
_PART = rf"(?:{_LETTER}|[\p{{M}}\p{{N}}_])"
_NUMBER = r"\p{Nd}+(?:[.,]\p{Nd}+)+"
_WORD = rf"[\p{{Han}}\p{{Hiragana}}]\p{{M}}*|(?:{_NUMBER}|{_PART})+(?:'{_LETTER}{_PART}*)*"


@dataclass(frozen=True, eq=False)
class Terms:
    """The terms of some texts, each as often as it occurs.

    Attributes:
        distinct: The different ones; some may not occur.
        codes: Which of them [m].
        rows: In which text [m].
    """

    distinct: pa.Array
    codes: np.ndarray
    rows: np.ndarray

    def once(self) -> tuple[np.ndarray, np.ndarray]:
        """Texts and terms, (rows, codes), each pair once."""
        size = max(len(self.distinct), 1)
        pairs = np.unique(self.rows * size + self.codes)
        return pairs // size, pairs % size


@dataclass(frozen=True)
class Tokens:
    """How texts become terms.

    Attributes:
        unit: `word`: terms are runs of words, joined by a space. `character`: runs of characters
            of one word, which has a space before and behind it.
        ngrams: The smallest and the largest number of words, or characters, of a term.
        lower: Fold the case.
        stop_words: Words that are left out before runs are made; words only, in any case.
        min_length: Characters that a word must have.

    Raises:
        ConfigError: a wrong parameter.
    """

    unit: Unit = "word"
    ngrams: tuple[int, int] = (1, 1)
    lower: bool = True
    stop_words: tuple[str, ...] = ()
    min_length: int = 1

    def __post_init__(self) -> None:
        if self.unit not in get_args(Unit):
            raise ConfigError(f"unit is {self.unit!r}; it is word or character")
        most = MAX_WORDS if self.unit == "word" else MAX_CHARACTERS
        sizes = tuple(self.ngrams)
        if len(sizes) != 2 or not 1 <= sizes[0] <= sizes[1] <= most:
            raise ConfigError(
                f"ngrams is {list(sizes)}; it is the smallest and the largest number of "
                f"{self.unit}s, from 1 to {most}"
            )
        if self.min_length < 1:
            raise ConfigError(f"min_length is {self.min_length}; it is at least 1")
        object.__setattr__(self, "ngrams", sizes)
        object.__setattr__(self, "stop_words", tuple(self.stop_words))

    def terms(self, texts: pa.Array) -> Terms:
        """The terms of texts, in the order of the texts; null has none."""
        words = self._words(texts)
        if self.unit == "character":
            grams = [_characters(word, *self.ngrams) for word in words.distinct.to_pylist()]
            return _replaced(words, pa.array(grams, pa.list_(pa.string())))
        return _runs(words, *self.ngrams)

    def lists(self, texts: pa.Array) -> pa.ListArray:
        """The terms of each text as a list of strings; empty for null."""
        found = self.terms(texts)
        order = np.argsort(found.rows, kind="stable")
        sizes = np.bincount(found.rows, minlength=len(texts))
        offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
        terms = found.distinct.take(pa.array(found.codes[order]))
        return pa.ListArray.from_arrays(pa.array(offsets), terms)

    def _words(self, texts: pa.Array) -> Terms:
        lists = pc.split_pattern_regex(texts.cast(pa.string()), _BETWEEN)
        pieces, rows = pc.list_flatten(lists), pc.list_parent_indices(lists)
        full = pc.not_equal(pieces, "")
        coded = pieces.filter(full).dictionary_encode()
        rows = rows.filter(full).to_numpy(zero_copy_only=False).astype(np.int64)
        found = Terms(coded.dictionary, _numbers(coded.indices), rows)
        found = _replaced(found, _split(_normal(found.distinct, self.lower)))
        dropped = pc.is_in(found.distinct, value_set=self._stopped)
        short = pc.less(pc.utf8_length(found.distinct), self.min_length)
        keep = ~_booleans(pc.or_(dropped, short))[found.codes]
        return Terms(found.distinct, found.codes[keep], found.rows[keep])

    @cached_property
    def _stopped(self) -> pa.Array:
        return _normal(pa.array(list(self.stop_words), pa.string()), self.lower)


WORDS = Tokens()


def _normal(texts: pa.Array, lower: bool) -> pa.Array:
    """NFKC, folded; all apostrophes are ASCII's."""
    ascii_only = pc.string_is_ascii(texts)
    plain = pc.utf8_lower(texts) if lower else texts
    if pc.all(ascii_only).as_py() is not False:
        return plain
    other = pc.utf8_normalize(texts.filter(pc.invert(ascii_only)), "NFKC")
    if lower:
        # What folding makes of a letter may compose anew.
        folded = pa.array([text.casefold() for text in other.to_pylist()], pa.string())
        other = pc.utf8_normalize(folded, "NFKC")
    other = pc.replace_substring_regex(other, "[\u2019\u02bc]", "'")
    return pc.replace_with_mask(plain, pc.invert(ascii_only), other)


def _split(pieces: pa.Array) -> pa.ListArray:
    """The words of each piece."""
    plain = pc.match_substring_regex(pieces, _PLAIN)
    ended = pc.replace_substring_regex(
        pieces.filter(pc.invert(plain)), rf"({_WORD})|(?s:.)", rf"\1{_END}"
    )
    # A plain piece is a word; of the others, every character that is part of none left an end.
    whole = pc.replace_with_mask(pieces, pc.invert(plain), ended)
    lists = pc.split_pattern(whole, _END)
    words, owners = pc.list_flatten(lists), pc.list_parent_indices(lists)
    full = pc.not_equal(words, "")
    sizes = np.bincount(_numbers(owners.filter(full)), minlength=len(pieces))
    offsets = np.concatenate(([0], np.cumsum(sizes))).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), words.filter(full))


def _replaced(terms: Terms, parts: pa.ListArray) -> Terms:
    """Every term replaced by the list of its parts, `parts` of each of the distinct terms."""
    coded = parts.flatten().dictionary_encode()
    offsets = parts.offsets.to_numpy().astype(np.int64)
    sizes = np.diff(offsets)[terms.codes]
    ends = np.cumsum(sizes)
    total = int(ends[-1]) if len(ends) else 0
    places = np.arange(total) + np.repeat(offsets[terms.codes] - (ends - sizes), sizes)
    codes = _numbers(coded.indices)[places]
    return Terms(coded.dictionary, codes, np.repeat(terms.rows, sizes))


def _runs(words: Terms, low: int, high: int) -> Terms:
    """Runs of `low` to `high` words of one text."""
    found: list[Terms] = []
    for size in range(low, high + 1):
        if size == 1:
            found.append(words)
            continue
        count = max(len(words.codes) - size + 1, 0)
        inside = words.rows[:count] == words.rows[size - 1 :]
        parts = [words.codes[at : at + count][inside] for at in range(size)]
        joined = pc.binary_join_element_wise(
            *(words.distinct.take(pa.array(part)) for part in parts), " "
        ).dictionary_encode()
        rows = words.rows[:count][inside]
        found.append(Terms(joined.dictionary, _numbers(joined.indices), rows))
    if len(found) == 1:
        return found[0]
    starts = np.cumsum([0, *(len(one.distinct) for one in found)])
    codes = [one.codes + start for one, start in zip(found, starts, strict=False)]
    distinct = pa.concat_arrays([one.distinct for one in found])
    return Terms(distinct, np.concatenate(codes), np.concatenate([one.rows for one in found]))


def _characters(word: str, low: int, high: int) -> list[str]:
    """Runs of characters of ` word `; what is shorter than a run is one, once."""
    padded = f" {word} "
    found: list[str] = []
    for size in range(low, high + 1):
        found += [padded[at : at + size] for at in range(max(len(padded) - size, 0) + 1)]
        if len(padded) <= size:
            break
    return found


def _numbers(array: pa.Array) -> np.ndarray:
    return array.to_numpy(zero_copy_only=False).astype(np.int64)


def _booleans(array: pa.Array) -> np.ndarray:
    found: np.ndarray = array.to_numpy(zero_copy_only=False)
    return found.astype(bool)
