"""Fit an operator on an Arrow table without Spark: the same questions, answered in three parts."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql.pandas.types import from_arrow_schema

from sparkmine.expr import evaluate
from sparkmine.recipe import Operator
from sparkmine.recipe.columns import columns_of
from sparkmine.recipe.operator import Outcome
from sparkmine.stats import KeyedStat, Stat


@dataclass(frozen=True)
class Local:
    """A fitted operator and how many rounds of questions it took."""

    outcome: Outcome
    rounds: int

    def transform(self, table: pa.Table) -> pa.Table:
        made = {name: evaluate(expr, table) for name, expr in self.outcome.outputs.items()}
        made.update({name: block.apply(table) for name, block in self.outcome.blocks.items()})
        table = table.drop_columns(list(self.outcome.dropped))
        for name, values in made.items():
            if name in table.schema.names:
                table = table.drop_columns([name])
            table = table.append_column(name, values)
        return table


def answer(stat: Stat, table: pa.Table) -> Any:
    while True:
        state = stat.zero()
        size = table.num_rows // 3 + 1
        for start in range(0, table.num_rows, size):
            part = table.slice(start, size)
            arrays = [part.column(name).combine_chunks() for name in stat.columns]
            state = stat.merge(state, stat.update(stat.zero(), arrays))
        if isinstance(stat, KeyedStat):
            return stat.join([stat.select(piece) for piece in stat.split(state, 3)])
        found = stat.answer(state)
        finer = stat.refined(found)
        if finer is None:
            return found
        stat = finer


def _fit(operator: Operator, table: pa.Table, label: str | None = None) -> Local:
    columns = columns_of(from_arrow_schema(table.schema))
    picked = operator.columns.pick([c for c in columns if c.name != label])
    fitting, answers, rounds = operator.fitting(picked, label), None, 0
    try:
        while True:
            stats = fitting.send(answers)  # type: ignore[arg-type]
            answers = [answer(stat, table) for stat in stats]
            rounds += bool(stats)
    except StopIteration as stop:
        return Local(stop.value, rounds)


@pytest.fixture
def fit() -> Callable[..., Local]:
    """`fit(operator, table, label)`, with `outcome`, `rounds` and `transform(table)`."""
    return _fit
