"""Texts as values, by the rules of Spark's `try_cast`; a text that is none is null.

Integers are digits with a sign; Java reads doubles, so that `1e3`, `1.5f` and `0x1p3` are some.
Dates and moments may have few digits and parts left out. What is common goes through Arrow's
kernels, the rest (long years, zones, times without a date) text by text (`moments.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.expr.moments import BLANK, CONTROL, moment

_LONG = r"^(?P<sign>[+-]?)0*(?P<digits>[0-9]+)$"
_LARGEST, _SMALLEST = str(2**63 - 1), str(2**63)  # without their signs
_DOUBLE = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[fFdD]?$"
_HEX = r"^[+-]?0[xX]([0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+[fFdD]?$"
_INFINITE, _NAN = r"^[+-]?(?i:inf(inity)?)$", r"^([+-]NaN|(?i:nan))$"
_DATE = (
    r"(?s)^(?P<sign>[+-]?)(?P<year>[0-9]{4,7})"
    r"(?:-(?P<month>[0-9]{1,2})(?:-(?P<day>[0-9]{1,2})(?:[ T].*)?)?)?$"
)
_COMMON = (
    r"^[1-9][0-9]{3}-[0-9]{2}-[0-9]{2}"
    r"(?:[ T](?:[01][0-9]|2[0-3]):[0-5][0-9](?::[0-5][0-9](?:\.[0-9]{1,6})?)?)?$"
)


def from_text(texts: Any, to: str) -> Any:
    """Texts as `long`, `double`, `boolean`, `date` or `timestamp`; an array or a scalar."""
    if isinstance(texts, pa.Scalar):
        return from_text(pa.array([texts.as_py()], texts.type), to)[0]
    return _CASTS[to](texts)


def _trimmed(texts: Any, blank: str = CONTROL) -> Any:
    return pc.utf8_trim(texts, characters=blank)


def _where(condition: Any, texts: Any) -> Any:
    return pc.if_else(condition, texts, pa.scalar(None, texts.type))


def _longs(texts: Any) -> Any:
    plain = pc.match_substring_regex(texts, r"^-?[0-9]{1,18}$")
    found = pc.cast(_where(plain, texts), pa.int64())
    rest = pc.and_(pc.is_valid(texts), pc.is_null(found))
    if not pc.any(rest).as_py():
        return found
    return pc.replace_with_mask(found, rest, _other_longs(texts.filter(rest)))


def _other_longs(texts: Any) -> Any:
    parts = pc.extract_regex(_trimmed(texts), _LONG)
    sign, digits = pc.struct_field(parts, "sign"), pc.struct_field(parts, "digits")
    negative, length = pc.equal(sign, "-"), pc.utf8_length(digits)
    limit = pc.if_else(negative, *(pa.scalar(text, digits.type) for text in (_SMALLEST, _LARGEST)))
    within = pc.or_(
        pc.less(length, len(_LARGEST)),
        pc.and_(pc.equal(length, len(_LARGEST)), pc.less_equal(digits, limit)),
    )
    minus = pc.if_else(negative, *(pa.scalar(text, digits.type) for text in ("-", "")))
    empty = pa.scalar("", digits.type)
    return pc.cast(_where(within, pc.binary_join_element_wise(minus, digits, empty)), pa.int64())


def _doubles(texts: Any) -> Any:
    texts = _trimmed(texts, BLANK)
    plain = pc.match_substring_regex(texts, _DOUBLE)
    bare = pc.replace_substring_regex(_where(plain, texts), r"^\+|[fFdD]$", "")
    found = pc.cast(bare, pa.float64())
    rest = pc.and_(pc.is_valid(texts), pc.is_null(found))
    if not pc.any(rest).as_py():
        return found
    infinite = pc.match_substring_regex(texts, _INFINITE)
    infinity = pc.if_else(pc.starts_with(texts, "-"), -np.inf, np.inf)
    found = pc.if_else(infinite, infinity, found)
    found = pc.if_else(pc.match_substring_regex(texts, _NAN), np.nan, found)
    return _one_by_one(found, texts, pc.match_substring_regex(texts, _HEX), _from_hex)


def _booleans(texts: Any) -> Any:
    lower = pc.utf8_lower(_trimmed(texts))
    true = pc.is_in(lower, value_set=pa.array(["true", "t", "yes", "y", "1"], texts.type))
    false = pc.is_in(lower, value_set=pa.array(["false", "f", "no", "n", "0"], texts.type))
    return pc.if_else(true, True, pc.if_else(false, False, pa.scalar(None, pa.bool_())))


def _dates(texts: Any) -> Any:
    parts = pc.extract_regex(_trimmed(texts), _DATE)
    year, month, day = (_part(parts, name) for name in ("year", "month", "day"))
    negative = pc.fill_null(pc.equal(pc.struct_field(parts, "sign"), "-"), False)
    days, there = _days(np.where(negative, -year, year), month, day)
    there &= pc.is_valid(parts).to_numpy(zero_copy_only=False)
    there &= np.abs(days) < 2**31
    return pc.cast(pa.array(np.where(there, days, 0).astype(np.int32), mask=~there), pa.date32())


def _moments(texts: Any) -> Any:
    target = pa.timestamp("us", tz="UTC")
    trimmed = _trimmed(texts)
    common = _where(pc.match_substring_regex(trimmed, _COMMON), trimmed)
    year, month, day = (
        _numbers(pc.utf8_slice_codeunits(common, start, stop)) for start, stop in _PLACES
    )
    _, there = _days(year, month, day)
    found = pc.cast(pc.cast(_where(pa.array(there), common), pa.timestamp("us")), target)
    rest = pc.and_(pc.is_valid(texts), pc.is_null(common))
    # Anything else does not begin as a moment does.
    rest = pc.and_(rest, pc.match_substring_regex(trimmed, r"^[+-]?[0-9]|^T[0-9]"))
    return _one_by_one(found, texts, rest, moment)


_PLACES = ((0, 4), (5, 7), (8, 10))
_CASTS: dict[str, Callable[[Any], Any]] = {
    "long": _longs,
    "double": _doubles,
    "boolean": _booleans,
    "date": _dates,
    "timestamp": _moments,
}


def _part(parts: Any, name: str) -> np.ndarray:
    text = pc.struct_field(parts, name)
    return _numbers(_where(pc.not_equal(text, ""), text))


def _numbers(digits: Any) -> np.ndarray:
    """Numbers of digits; 1 where there are none."""
    return pc.fill_null(pc.cast(digits, pa.int64()), 1).to_numpy(zero_copy_only=False)


def _days(year: np.ndarray, month: np.ndarray, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Days since 1970, and whether the calendar has them."""
    months = (year - 1970) * 12 + month - 1
    first, after = (
        (months + more).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
        for more in (0, 1)
    )
    days = first + day - 1
    return days, (month >= 1) & (month <= 12) & (day >= 1) & (days < after)


def _one_by_one(found: Any, texts: Any, rest: Any, read: Callable[[str], Any]) -> Any:
    """`found`, and at the texts of `rest` what `read` makes of each."""
    if not pc.any(rest).as_py():
        return found
    values = [read(text) for text in texts.filter(rest).to_pylist()]
    rest = pc.fill_null(rest, False)
    return pc.replace_with_mask(found, rest, pa.array(values, found.type))


def _from_hex(text: str) -> float:
    bare = text.rstrip("fFdD") if "p" in text.lower() else text
    try:
        return float.fromhex(bare)
    except OverflowError:
        return -np.inf if text.startswith("-") else np.inf
