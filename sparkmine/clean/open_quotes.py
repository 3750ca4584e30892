"""CSV files in which a quoted value is never closed.

A value is quoted if it begins with a quote; in it quotes are written twice, and a single one ends
it. In a value that is not quoted a quote is a character like others (5" of pipe). So a line goes
from one state, outside or inside a quoted value, to another, and so do all lines of a split: splits
are followed in parallel from both states, and then put together in the order of the file. It costs
one pass over the lines with quotes, in Python.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_SCHEMA = "file string, start long, outside boolean, inside boolean"


def unclosed(
    text: DataFrame, lines: Column, files: Sequence[str], *, delimiter: str, quote: str
) -> list[str]:
    """Those of the files that end within a quoted value, by name.

    Args:
        text: The lines of files, as Spark's format `text` has them.
        lines: The same without quotes that are escaped by another sign.
    """
    from pyspark.sql import functions as F

    step = follower(delimiter, quote)

    def follow(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Where each split of the task ends, if it begins outside and if it begins inside."""
        ends: dict[tuple[str, int], tuple[bool, bool]] = {}
        for batch in batches:
            for file, start, line in zip(*(column.to_pylist() for column in batch), strict=True):
                outside, inside = ends.get((file, start), (False, True))
                end = step(line, outside)
                ends[file, start] = end, end if inside == outside else step(line, inside)
        columns = zip(*((*place, *end) for place, end in ends.items()), strict=True)
        names = ("file", "start", "outside", "inside")
        if ends:
            yield pa.RecordBatch.from_pydict(dict(zip(names, map(list, columns), strict=True)))

    split = F.col("_metadata.file_block_start")
    some = text.select(F.input_file_name().alias("file"), split.alias("start"), lines.alias("line"))
    some = some.where(F.col("file").isin(list(files)) & F.contains("line", F.lit(quote)))
    state: dict[str, bool] = {}
    for one in sorted(some.mapInArrow(follow, _SCHEMA).collect()):
        state[one.file] = one.inside if state.get(one.file, False) else one.outside
    return [file for file, inside in state.items() if inside]


def follower(delimiter: str, quote: str) -> Callable[[str, bool], bool]:
    """Whether a line ends inside a quoted value, given whether it begins in one."""
    d, q = re.escape(delimiter), re.escape(quote)
    inside = rf"(?:[^{q}]++|{q}{q})*+"
    rest = rf"(?:(?!{d}).)*+"  # of a field that is not quoted, or behind the quote that ends it
    within, behind = re.compile(inside, re.DOTALL), re.compile(rf"{rest}(?:{d})?", re.DOTALL)
    opens = re.compile(rf"(?:(?:{q}{inside}{q}|(?!{q})){rest}{d})*+{q}{inside}\Z", re.DOTALL)

    def ends_inside(line: str, begins: bool) -> bool:
        at = 0
        if begins:
            closing = within.match(line)
            assert closing is not None  # it matches nothing, too
            if closing.end() == len(line):
                return True
            next_field = behind.match(line, closing.end() + len(quote))
            assert next_field is not None
            at = next_field.end()
        return opens.match(line, at) is not None

    return ends_inside
