r"""Regular expressions that mean the same to Java (Spark) and to RE2 (Arrow).

Both engines get one text, written anew from the pattern. It keeps what they share: alternatives,
groups `( )` and `(?: )`, classes, greedy and lazy repetition, `^`, `$`, `.`, `\d \w \s` (of ASCII),
`\p{..}` of general categories, escaped punctuation. `$` is the end of the text, `.` every character
but a line feed. Look-around, back references, word boundaries and flags are refused: one engine
lacks them, or they differ.
"""

from __future__ import annotations

import re
from functools import lru_cache

import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.errors import ExpressionError

_SAME = "dDwWntrf"
_SPACES = r" \t\n\r\f"
_CATEGORY = re.compile(
    r"\\[pP]\{(L[ultmo]?|M[nce]?|N[dlo]?|P[cdseifo]?|S[mcko]?|Z[slp]?|C[cfo]?)\}"
)
_CODE = re.compile(r"\\x[0-9A-Fa-f]{2}")
_REPEAT = re.compile(r"\{\d+(,\d*)?\}")


@lru_cache(maxsize=256)
def shared(pattern: str) -> str:
    """The pattern as both engines read it; Java wants `(?d)` before it (`java`).

    Raises:
        ExpressionError: it is no pattern, or uses what the engines do not share.
    """
    written: list[str] = []
    place, inside = 0, False
    while place < len(pattern):
        taken, text = _piece(pattern, place, inside)
        if not inside and pattern[place] == "[":  # `\s` is written as a class, and opens none
            inside = True
        elif inside and text == "]":
            inside = False
        written.append(text)
        place += taken
    found = "".join(written)
    try:
        pc.match_substring_regex(pa.array([""]), found)
    except pa.ArrowInvalid as error:
        reason = str(error).partition(": ")[2] or str(error)
        raise ExpressionError(f"pattern {pattern!r}: {reason}") from None
    return found


def java(pattern: str) -> str:
    """For Spark's `rlike`: with `(?d)`, only a line feed ends a line."""
    return f"(?d){shared(pattern)}"


def _piece(pattern: str, place: int, inside: bool) -> tuple[int, str]:
    """How many characters the next piece takes, and what stands for it."""
    letter = pattern[place]
    if letter == "\\":
        return _escape(pattern, place, inside)
    if inside:
        # Java nests classes and knows &&; RE2 takes both as characters.
        return 1, f"\\{letter}" if letter in "[&~" else letter
    if letter == "[":
        head = re.match(r"\[\^?\]?", pattern[place:])
        assert head is not None
        return head.end(), head.group().replace("]", r"\]")
    if letter == "$":
        return 1, r"\z"
    if letter == "{" and not _REPEAT.match(pattern, place):
        raise _refused(pattern, "`{` that is no repetition; write \\{")
    if pattern.startswith("(?", place) and not pattern.startswith("(?:", place):
        raise _refused(pattern, f"{pattern[place : place + 4]!r}")
    if letter in "*+?}" and pattern.startswith("+", place + 1):
        raise _refused(pattern, "possessive repetition")
    return 1, letter


def _escape(pattern: str, place: int, inside: bool) -> tuple[int, str]:
    following = pattern[place + 1 : place + 2]
    for kind in (_CATEGORY, _CODE):
        found = kind.match(pattern, place)
        if found:
            return found.end() - place, found.group()
    if following == "s":
        return 2, _SPACES if inside else f"[{_SPACES}]"
    if following == "S" and not inside:
        return 2, f"[^{_SPACES}]"
    if following and (following in _SAME or (following.isascii() and not following.isalnum())):
        return 2, f"\\{following}"
    raise _refused(pattern, f"'\\{following}'")


def _refused(pattern: str, what: str) -> ExpressionError:
    return ExpressionError(f"pattern {pattern!r}: {what} is not in the expression language")
