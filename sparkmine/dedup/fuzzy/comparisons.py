"""The kinds of comparison: how values are made alike, and the levels of their agreement.

Values are made alike once, by native functions, before any pair is formed. The levels are
Splink's, so its training and scoring apply; their conditions run in Spark for all pairs, and in
DuckDB for the random pairs of the training.
"""

from __future__ import annotations

import unicodedata
from typing import TYPE_CHECKING, Any

from sparkmine.dedup.fuzzy.settings import Comparison
from sparkmine.errors import ConfigError

if TYPE_CHECKING:
    from pyspark.sql import Column
    from pyspark.sql.types import DataType

_ATOMIC = frozenset(
    {"string", "tinyint", "smallint", "int", "bigint", "date", "timestamp", "timestamp_ntz"}
    | {"float", "double", "decimal", "boolean"}
)
_NUMBERS = frozenset({"tinyint", "smallint", "int", "bigint", "float", "double", "decimal"})
# Legal forms, which say little about which company it is.
_FORMS = (
    "ab|ag|as|bv|co|company|corp|corporation|gmbh|group|holding|holdings|inc|incorporated|kg|"
    "limited|llc|llp|ltd|nv|oy|plc|pty|sa|sarl|se|spa|srl|the"
)
# The dots of G.m.b.H. and S.p.A. between single letters at the end; A.G. Edwards keeps its own.
_DOTTED = r"(?<=\b\p{L})\.(?=(\p{L}\.)*\p{L}\.?$)"
_PHONE_DIGITS = 9  # country and trunk prefixes come before them
_PREFIX = 3  # characters of a postcode that name its region in most countries


def _unaccented() -> tuple[str, str]:
    """Latin letters with a mark, and without."""
    pairs = {}
    for code in range(0xC0, 0x250):
        letter = chr(code).lower()
        base = unicodedata.normalize("NFKD", letter)[0]
        if base != letter and base.isascii() and len(letter) == 1:
            pairs[letter] = base
    return "".join(pairs), "".join(pairs.values())


_MARKED, _PLAIN = _unaccented()


def alike(column: Column, kind: str) -> Column:
    """The value as it is compared and blocked on: text, without what does not matter to `kind`.

    Nothing but spaces, and of numbers and dates what is none, becomes null.
    """
    from pyspark.sql import functions as F

    text = F.trim(F.lower(column.cast("string")))
    plain = F.translate(F.replace(text, F.lit("ß"), F.lit("ss")), _MARKED, _PLAIN)
    if kind in ("name", "full_name"):
        found = _spaced(F.regexp_replace(plain, "[^\\p{L}\\p{N}]+", " "))
    elif kind in ("company", "words"):
        if kind == "company":
            plain = F.regexp_replace(plain, _DOTTED, "")
        found = _spaced(F.regexp_replace(plain, "[^\\p{L}\\p{N}]+", " "))
        if kind == "company":
            bare = _spaced(F.regexp_replace(found, f"\\b({_FORMS})\\b", " "))
            found = F.when(bare == "", found).otherwise(bare)
    elif kind == "phone":
        digits = F.regexp_replace(text, "[^0-9]", "")
        found = F.right(digits, F.lit(_PHONE_DIGITS))
    elif kind == "postcode":
        found = F.regexp_replace(plain, "[^\\p{L}\\p{N}]+", "")
    elif kind == "date":
        # Of a timestamp its day; text stays as it is, for a typo in a date may be no date.
        found = F.regexp_replace(F.substring(text, 1, 10), "[./ ]", "-")
    elif kind == "number":
        found = column.try_cast("double").cast("string")
        found = F.when(F.lower(found) == "nan", None).otherwise(found)
    elif kind == "email":
        found = F.regexp_replace(text, "\\s+", "")
    else:
        found = _spaced(text)
    return F.when(found != "", found)


def compared(column: Column, kind: str) -> Column:
    """From an `alike` value to what the levels compare."""
    from pyspark.sql import functions as F

    if kind == "words":
        return F.array_sort(F.array_distinct(F.split(column, " ")))
    return column.cast("double") if kind == "number" else column


def check_type(name: str, kind: str, found: DataType) -> None:
    """Raise ConfigError unless a column of this type can be compared so."""
    text = found.simpleString().split("(")[0]
    allowed = _NUMBERS | {"string"} if kind == "number" else _ATOMIC
    if text not in allowed:
        raise ConfigError(
            f"column {name!r} has type {text}, which {kind} does not compare; "
            f"it takes {', '.join(sorted(allowed))}"
        )


def splink_comparison(item: Comparison, name: str) -> Any:
    """Splink's comparison over the columns `name`_0, `name`_1, ..., called `name`."""
    from splink import comparison_library

    columns = [f"{name}_{place}" for place in range(len(item.columns))]
    levels = _full_name(item, name, *columns) if len(columns) == 2 else _levels(item, columns[0])
    return comparison_library.CustomComparison(output_column_name=name, comparison_levels=levels)


def _levels(item: Comparison, column: str) -> list[Any]:
    from splink import comparison_level_library as levels

    exact = levels.ExactMatchLevel(column, term_frequency_adjustments=item.weighs_rarity)
    found = [levels.NullLevel(column), exact.configure(label_for_charts="equal")]
    kind, a, b = item.kind, f"{column}_l", f"{column}_r"
    if kind == "date":
        swapped = " and ".join(
            f"substr({a}, {one}, {length}) = substr({b}, {other}, {length})"
            for one, other, length in ((1, 1, 4), (6, 9, 2), (9, 6, 2))
        )
        found.append(_condition(swapped, "day and month swapped"))
    if kind == "name":
        found.append(_condition(_initial(a, b), "initial"))
    if kind == "email":
        user = "regexp_extract({0}, '^[^@]+', 0)"
        same = f"{user.format(a)} = {user.format(b)} and {user.format(a)} <> ''"
        found.append(_condition(same, "equal before the @"))
    level: Any
    for limit in item.limits:
        match kind:
            case "jaro_winkler" | "name" | "company" | "email":
                level = levels.JaroWinklerLevel(column, limit)
                found.append(level.configure(label_for_charts=f"Jaro-Winkler ≥ {limit:g}"))
            case "levenshtein":
                level = levels.LevenshteinLevel(column, int(limit))
                found.append(level.configure(label_for_charts=f"Levenshtein ≤ {limit:g}"))
            case "damerau_levenshtein" | "phone" | "date" | "postcode":
                level = levels.DamerauLevenshteinLevel(column, int(limit))
                found.append(level.configure(label_for_charts=f"typos ≤ {limit:g}"))
            case "words":
                both = f"size(array_intersect({a}, {b}))"
                share = f"{both} >= {limit} * (size({a}) + size({b}) - {both})"
                found.append(_condition(share, f"shared words ≥ {100 * limit:g} %"))
            case "number":
                near = f"abs({a} - {b}) <= {limit} * greatest(abs({a}), abs({b}))"
                found.append(_condition(near, f"within {100 * limit:g} %"))
    if kind == "postcode":
        same = f"substr({a}, 1, {_PREFIX}) = substr({b}, 1, {_PREFIX})"
        found.append(_condition(same, f"first {_PREFIX} equal"))
    return [*found, levels.ElseLevel().configure(label_for_charts="different")]


def _full_name(item: Comparison, name: str, first: str, last: str) -> list[Any]:
    """Both names together, so that swapped ones are a level of their own."""
    from splink import comparison_level_library as levels

    def both(a: Any, b: Any, label: str) -> Any:
        return levels.And(a, b).configure(label_for_charts=label)

    whole = levels.ExactMatchLevel(f"{name}_2", term_frequency_adjustments=item.weighs_rarity)
    initial = _condition(_initial(f"{first}_l", f"{first}_r"), "initial")
    found = [
        both(levels.NullLevel(first), levels.NullLevel(last), "null"),
        whole.configure(label_for_charts="both equal"),
        levels.ColumnsReversedLevel(first, last, symmetrical=True).configure(
            label_for_charts="swapped"
        ),
        both(levels.ExactMatchLevel(last), initial, "last equal, first initial"),
    ]
    found[0] = found[0].configure(is_null_level=True)
    for limit in item.limits:
        one, other = (levels.JaroWinklerLevel(column, limit) for column in (first, last))
        found.append(both(one, other, f"both Jaro-Winkler ≥ {limit:g}"))
    for column, label in ((last, "last"), (first, "first")):
        level = levels.JaroWinklerLevel(column, item.limits[0])
        found.append(level.configure(label_for_charts=f"{label} Jaro-Winkler ≥ {item.limits[0]:g}"))
    return [*found, levels.ElseLevel().configure(label_for_charts="different")]


def _initial(a: str, b: str) -> str:
    return f"(length({a}) = 1 or length({b}) = 1) and substr({a}, 1, 1) = substr({b}, 1, 1)"


def _condition(sql: str, label: str) -> Any:
    from splink import comparison_level_library as levels

    return levels.CustomLevel(sql, label_for_charts=label, base_dialect_str="spark")


def _spaced(column: Column) -> Column:
    from pyspark.sql import functions as F

    return F.trim(F.regexp_replace(column, "\\s+", " "))
