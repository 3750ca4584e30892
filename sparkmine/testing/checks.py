"""The promises, one method each or a few that share a fit."""

from __future__ import annotations

import json
import re
import tempfile
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from sparkmine.errors import SparkmineError
from sparkmine.recipe import FittedRecipe, Recipe, operator_from
from sparkmine.testing.awkward import HOLES, TITLES, holed, unseen
from sparkmine.testing.compare import ROW, BrokenError, same

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

PARTITIONS = (1, 2, 3, 7)


class Checks:
    """The promises over one recipe and one table, whose rows are numbered for comparisons."""

    def __init__(
        self, recipe: Recipe, table: pa.Table, refuses: Collection[str], spark: SparkSession
    ) -> None:
        self.recipe = Recipe(
            *recipe.operators,
            keys=recipe.keys,
            label=recipe.label,
            keep=(*recipe.keep, ROW),
        )
        self.table = table.append_column(ROW, pa.array(np.arange(table.num_rows)))
        self.refuses = refuses
        self.spark = spark

    def parameters(self) -> None:
        with self._promise("parameters survive operator_from(name, parameters)"):
            for operator in self.recipe.operators:
                parameters = json.loads(json.dumps(operator.parameters()))
                if operator_from(operator.dotted(), parameters) != operator:
                    name = type(operator).__name__
                    raise BrokenError(f"{name} differs when made of {parameters}")

    def plain(self) -> FittedRecipe:
        """The promises that one fit on the table itself shows."""
        with self._promise("it fits the table as it is"):
            fitted = self.recipe.fit(self._frame(self.table))
        with self._promise("every row is transformed by itself"):
            whole = fitted.transform_arrow(self.table)
            backwards = self.table.take(np.arange(self.table.num_rows)[::-1])
            same(whole, fitted.transform_arrow(backwards), "in order", "backwards")
            parts = [fitted.transform_arrow(p) for p in (self.table[:3], self.table[3:])]
            same(whole, pa.concat_tables(parts), "in one table", "in two tables")
            none = fitted.transform_arrow(self.table[:0])
            if none.schema.names != whole.schema.names or none.num_rows:
                raise BrokenError(f"no rows become {none.num_rows} rows of {none.schema.names}")
        with self._promise("keys, label and kept columns are untouched"):
            self._untouched(whole)
        if (label := self.recipe.label) is not None:
            with self._promise("new rows need no label"):
                unlabelled = fitted.transform_arrow(self.table.drop_columns([label]))
                same(whole.drop_columns([label]), unlabelled, "with a label", "without")
        with self._promise("saving and loading changes nothing"):
            loaded = _loaded(fitted)
            if loaded.describe() != fitted.describe():
                raise BrokenError("describe() differs")
            same(whole, loaded.transform_arrow(self.table), "before", "after")
        with self._promise("Spark and Arrow give equal results"):
            native = fitted.transform(self._frame(self.table).repartition(3))
            same(native.toArrow(), whole, "by Spark", "by Arrow")
        with self._promise("no Python in Spark's plan but one pass a block operator"):
            _check_plan(fitted, native)
        return fitted

    def partitioning(self, fitted: FittedRecipe) -> None:
        with self._promise("nothing depends on order or partitioning of the rows"):
            expected = fitted.transform_arrow(self.table)
            for number in PARTITIONS:
                other = self.recipe.fit(self._frame(self.table).repartition(number))
                found = other.transform_arrow(self.table)
                same(expected, found, "in one fit", f"in one on {number} partitions")

    def unseen(self, fitted: FittedRecipe) -> None:
        data = self._changed(unseen)
        if not data.equals(self.table):
            with self._promise("unseen categories are defined"):
                self._engines_agree(fitted, data)

    def case(self, name: str) -> None:
        """A fit on awkward data is defined, or refused by a coded error if that was said."""
        data = self._awkward(name)
        with self._promise(f"{TITLES.get(name, name)} are defined"):
            try:
                fitted = self.recipe.fit(self._frame(data))
            except SparkmineError as error:
                if name in self.refuses:
                    return
                raise BrokenError(f"{error} (if that is meant, say refuses=[{name!r}])") from None
            if name in self.refuses:
                raise BrokenError("refuses= names this case, but the fit takes it")
            self._engines_agree(fitted, data if name in HOLES else self.table[:5])

    def _awkward(self, name: str) -> pa.Table:
        match name:
            case "no rows" | "one row":
                return self.table[: 0 if name == "no rows" else 1]
            case "no values":
                return self._changed(lambda column: pa.nulls(len(column), column.type))[:9]
        return self._changed(lambda column: holed(column, HOLES[name]))

    def _changed(self, change: Callable[[pa.Array], pa.Array]) -> pa.Table:
        """The table with `change` applied to all columns that operators may see."""
        table = self.table
        for index, name in enumerate(table.schema.names):
            if name not in self.recipe.untouched:
                changed = change(table.column(name).combine_chunks())
                table = table.set_column(index, table.schema.field(name), changed)
        return table

    def _engines_agree(self, fitted: FittedRecipe, data: pa.Table) -> None:
        native = fitted.transform(self._frame(data)).toArrow()
        same(native, fitted.transform_arrow(data), "by Spark", "by Arrow")

    def _untouched(self, found: pa.Table) -> None:
        for name in self.recipe.untouched:
            if name not in found.schema.names:
                raise BrokenError(f"{name!r} is gone")
        same(
            self.table.select(self.recipe.untouched),
            found.select(self.recipe.untouched),
            "before",
            "after",
        )

    def _frame(self, table: pa.Table) -> DataFrame:
        return self.spark.createDataFrame(table)

    @contextmanager
    def _promise(self, text: str) -> Iterator[None]:
        kinds = [type(operator).__name__ for operator in self.recipe.operators]
        name = kinds[0] if len(kinds) == 1 else f"a recipe of {len(kinds)} operators"
        try:
            yield
        except BrokenError as broken:
            raise AssertionError(f"broken promise of {name}: {text}; but {broken}") from None
        except Exception as error:
            kind = "" if isinstance(error, SparkmineError) else f"{type(error).__name__}: "
            said = kind + " ".join(str(error).split())[:500]
            raise AssertionError(f"broken promise of {name}: {text}; but {said}") from error


def _loaded(fitted: FittedRecipe) -> FittedRecipe:
    with tempfile.TemporaryDirectory() as folder:
        fitted.save(Path(folder) / "recipe")
        return FittedRecipe.load(Path(folder) / "recipe")


def _check_plan(fitted: FittedRecipe, result: DataFrame) -> None:
    plan: str = result._jdf.queryExecution().optimizedPlan().toString()
    nodes = [found for line in plan.splitlines() if (found := re.match(r"[\s:+\-]*(\w+)", line))]
    python = [n[1] for n in nodes if re.search("Python|Pandas|InArrow", n[1])]
    blocks = sum(bool(step.outcome.blocks) for step in fitted.steps)
    if len(python) > blocks:
        raise BrokenError(f"the plan of {blocks} block operators has {', '.join(python)}")
