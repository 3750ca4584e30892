"""Exact duplicates, by key or by whole row.

One shuffle by the key, and a sort. The survivor is the first row in a total order: what is asked
for, then all columns, then what Spark's order does not see (`comparable.py`), so it is the same row
whatever the partitioning. Nulls are equal to each other, as are NaNs, and -0.0 is 0.0. Values are
compared after a normalisation; the rows keep theirs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sparkmine.dedup.comparable import is_comparable, told_apart
from sparkmine.dedup.order import check_there, orderable, ordered
from sparkmine.errors import ConfigError
from sparkmine.expr.columns import as_json, check_text, free, quoted, repaired_text

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

LARGEST = 10
EXAMPLES = 5
LETTERS = 300


@dataclass(frozen=True, kw_only=True)
class Equality:
    """Which rows are equal, and which of them survives.

    Attributes:
        key: Columns that identify a row; None for the whole row.
        normalise: For a column of text, steps of `expr.columns.repaired_text` after which its
            values are compared.
        newest: The column that dates a row; the greatest survives.
        most_complete: The row with the most columns that are not null survives.
        order_by: `column` or `column desc`; of what is left the first survives. Nulls come last.

    Raises:
        ConfigError: these do not go together.
    """

    key: tuple[str, ...] | None = None
    normalise: Mapping[str, Sequence[str]] = field(default_factory=dict)
    newest: str | None = None
    most_complete: bool = False
    order_by: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.key is not None and not self.key:
            raise ConfigError("deduplication needs at least one key column, or none for whole rows")
        if self.whole and (self.order_by or self.newest or self.most_complete):
            raise ConfigError("deduplication by whole row has no order: equal rows are equal")
        if self.newest and self.most_complete:
            raise ConfigError("deduplication: the survivor is the newest or the most complete row")
        for name, steps in self.normalise.items():
            check_text(steps)
            if not steps:
                raise ConfigError(f"deduplication normalises {name!r} by no steps")
            if self.key is not None and name not in self.key:
                raise ConfigError(f"deduplication normalises {name!r}, which is not in the key")

    @property
    def whole(self) -> bool:
        """Whether rows of a group are equal in all columns, as they are."""
        return self.key is None and not self.normalise


def exact(
    df: DataFrame,
    key: Sequence[str] | None = None,
    order_by: Sequence[str] = (),
    *,
    normalise: Mapping[str, Sequence[str]] | None = None,
    newest: str | None = None,
    most_complete: bool = False,
) -> DataFrame:
    """One row for each distinct key.

    Args:
        df: The rows.
        key, order_by, normalise, newest, most_complete: As `Equality` has them.

    Raises:
        ConfigError: a column that is not there, or is no text where text is normalised; choices
            that do not go together.
    """
    equality = Equality(
        key=None if key is None else tuple(key),
        normalise=normalise or {},
        newest=newest,
        most_complete=most_complete,
        order_by=tuple(order_by),
    )
    return Groups.of(df, equality).kept()


@dataclass(frozen=True)
class Groups:
    """Rows with their places in groups of equal ones.

    Attributes:
        rows: The rows, each with its `place` (the survivor's is 1), the `size` of its group and,
            unless whole rows are compared, `survivor`, a struct of that one's key.
        columns: The names of the rows' own columns.
        whole: Whether rows of a group are equal in all columns.
        place, size, survivor: The names of the other columns.
    """

    rows: DataFrame
    columns: tuple[str, ...]
    whole: bool
    place: str
    size: str
    survivor: str

    @classmethod
    def of(cls, df: DataFrame, equality: Equality) -> Groups:
        """Find the groups; nothing is computed yet.

        Raises:
            ConfigError: as for `exact`.
        """
        from pyspark.sql import Window
        from pyspark.sql import functions as F

        columns = tuple(df.columns)
        names = columns if equality.key is None else equality.key
        check_there(df, [*names, *equality.normalise, *filter(None, [equality.newest])])
        place, size, survivor, same = (
            free(columns, name) for name in ("place", "size", "survivor", "same")
        )
        # Python functions are computed before the window.
        compared = {
            f"{same}_{number}": value
            for number, name in enumerate(names)
            if (value := _compared(df, name, equality.normalise.get(name, ()))) is not None
        }
        plain = [
            F.col(quoted(name))
            for name in names
            if name not in equality.normalise and is_comparable(df.schema[name].dataType)
        ]
        group = Window.partitionBy(*plain, *compared)
        # Equal rows without anything that tells them apart are one as good as another.
        ordered = group.orderBy(*(_order(df, equality) or [F.lit(0)]))
        ordered = ordered.rowsBetween(Window.unboundedPreceding, Window.currentRow)
        found = {
            place: F.row_number().over(ordered),
            size: F.count(F.lit(1)).over(group),
        }
        if not equality.whole:
            found[survivor] = F.first(F.struct(*map(quoted, names))).over(ordered)
        rows = df.select("*", *(value.alias(name) for name, value in compared.items()))
        rows = rows.select(*map(quoted, columns), *(v.alias(name) for name, v in found.items()))
        return cls(rows, columns, equality.whole, place, size, survivor)

    def kept(self) -> DataFrame:
        """The rows that survive."""
        return self.rows.where(f"{self.place} = 1").select(*map(quoted, self.columns))

    def removed(self) -> DataFrame:
        """[row, survivor, copies]: the rows that do not, and in whose favour.

        `row` is the row and `survivor` the key of the one that survives, as JSON, and `copies` is
        1. Of whole rows that are equal there is one line, where `copies` says how many went.
        """
        from pyspark.sql import functions as F

        row = self._row()
        if self.whole:
            some = self.rows.where(f"{self.place} = 1 and {self.size} > 1")
            copies = F.col(self.size) - 1
            return some.select(row.alias("row"), row.alias("survivor"), copies.alias("copies"))
        some = self.rows.where(f"{self.place} > 1")
        survivor = as_json(F.col(self.survivor)).alias("survivor")
        return some.select(row.alias("row"), survivor, F.lit(1).cast("long").alias("copies"))

    def figures(self) -> dict[str, Any]:
        """Rows, groups, rows removed, groups of several rows, the largest of these, examples.

        `largest` has (key, rows), `examples` (row that survived, first row that did not, rows
        removed); of whole rows the second is empty. Two small jobs, if the rows are cached.
        """
        from pyspark.sql import functions as F

        first = F.col(self.place) == 1
        counted = self.rows.agg(
            F.count(F.lit(1)).alias("rows"),
            F.count_if(first).alias("groups"),
            F.count_if(~first).alias("removed"),
            F.count_if(first & (F.col(self.size) > 1)).alias("repeated"),
        ).first()
        assert counted is not None
        figures: dict[str, Any] = counted.asDict()
        return {**figures, **(self._shown() if figures["removed"] else _NOTHING)}

    def _shown(self) -> dict[str, Any]:
        """The largest groups, and examples of them."""
        from pyspark.sql import functions as F

        row = self._row()
        places = 1 if self.whole else 2
        name = row if self.whole else as_json(F.col(self.survivor))
        some = self.rows.where(f"{self.size} > 1 and {self.place} <= {places}").select(
            F.col(self.size).alias("size"),
            F.col(self.place).alias("place"),
            name.alias("name"),
            row.alias("row"),
        )
        top = some.orderBy(F.col("size").desc(), "name", "place").limit(places * LARGEST)
        cut = (F.substring(column, 1, LETTERS).alias(column) for column in ("name", "row"))
        lines = top.select("size", "place", *cut).collect()
        groups = [lines[at : at + places] for at in range(0, len(lines), places)]
        return {
            "largest": [(group[0]["name"], group[0]["size"]) for group in groups],
            "examples": [
                (group[0]["row"], "" if self.whole else group[1]["row"], group[0]["size"] - 1)
                for group in groups[:EXAMPLES]
            ],
        }

    def _row(self) -> Column:
        from pyspark.sql import functions as F

        return as_json(F.struct(*map(quoted, self.columns)))


_NOTHING: dict[str, Any] = {"largest": [], "examples": []}


def _compared(df: DataFrame, name: str, steps: Sequence[str]) -> Column | None:
    """What of a column is compared; None for its values as they are."""
    kind = df.schema[name].dataType
    if steps:
        if kind.typeName() not in ("string", "varchar", "char"):
            raise ConfigError(
                f"deduplication normalises {name!r}: it is {kind.simpleString()}, no text"
            )
        from pyspark.sql import functions as F

        return repaired_text(F.col(quoted(name)), steps)
    return None if is_comparable(kind) else orderable(df, name)


def _order(df: DataFrame, equality: Equality) -> list[Column]:
    """The total order of a group's rows."""
    from pyspark.sql import functions as F

    apart = [told_apart(field.name, field.dataType) for field in df.schema.fields]
    last = [column.desc() for column in apart if column is not None]
    if equality.whole:
        return last
    first: list[Column] = []
    if equality.newest:
        first.append(orderable(df, equality.newest).desc_nulls_last())
    if equality.most_complete:
        there = [F.col(quoted(name)).isNotNull().cast("int") for name in df.columns]
        first.append(sum(there, F.lit(0)).desc())
    stated = [
        column.desc_nulls_last() if down else column.asc_nulls_last()
        for column, down in ordered(df, equality.order_by)
    ]
    fixed = set(equality.key or ()) - set(equality.normalise)
    rest = [orderable(df, name) for name in df.columns if name not in fixed]
    return [*first, *stated, *rest, *last]
