"""A fitted recipe: expressions and matrices, saved as JSON and Arrow, run on Spark or Arrow."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from sparkmine.errors import ModelError, RecipeError
from sparkmine.expr import Expr, Lookup, Vocabulary, evaluate, join_lookups, to_column
from sparkmine.model import Model
from sparkmine.recipe.block import AffineBlock, BlockFunction
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.operator import Outcome
from sparkmine.recipe.residual_block import ResidualBlock
from sparkmine.recipe.term_block import TermBlock

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

FORMAT = 2


@dataclass(frozen=True)
class FittedStep:
    """One fitted operator: its dotted name, its parameters, and what it does."""

    operator: str
    parameters: Mapping[str, Any]
    outcome: Outcome


class FittedRecipe(Model):
    """What `Recipe.fit` returns.

    Attributes:
        inputs: Column types of the table it was fitted on, by name.
        untouched: Keys, label and kept columns, which pass through.
        scans: How often the fit scanned the table; 0 for a loaded recipe.
    """

    def __init__(
        self,
        steps: Sequence[FittedStep],
        inputs: Mapping[str, str],
        untouched: Sequence[str],
        scans: int = 0,
    ) -> None:
        self.steps = tuple(steps)
        self.inputs = dict(inputs)
        self.untouched = tuple(untouched)
        self.scans = scans

    @property
    def outputs(self) -> list[str]:
        """Names of the columns of the result."""
        names = dict.fromkeys(self.inputs)
        for step in self.steps:
            for name in step.outcome.dropped:
                names.pop(name, None)
            names.update(dict.fromkeys([*step.outcome.outputs, *step.outcome.blocks]))
        return list(names)

    def transform(self, df: DataFrame) -> DataFrame:
        """Apply all steps to a DataFrame; rows and their order within partitions are kept.

        Raises:
            RecipeError: columns of the fitted schema are missing.
        """
        self._check(df.columns)
        for step in self.steps:
            df = _apply(df, step.outcome)
        return df

    def transform_arrow(self, table: pa.Table) -> pa.Table:
        """The same without Spark."""
        self._check(table.schema.names)
        for step in self.steps:
            outcome = step.outcome
            made = {name: evaluate(expr, table) for name, expr in outcome.outputs.items()}
            made.update({name: block.apply(table) for name, block in outcome.blocks.items()})
            table = table.drop_columns([n for n in outcome.dropped if n in table.schema.names])
            for name, values in made.items():
                index = table.schema.get_field_index(name)
                table = (
                    table.append_column(name, values)
                    if index < 0
                    else table.set_column(index, name, values)
                )
        return table

    def describe(self) -> list[dict[str, Any]]:
        """One row a step: operator, parameters, outputs, dropped columns and fitted details."""
        return [
            {
                "operator": step.operator.split(":")[1],
                "parameters": dict(step.parameters),
                "outputs": [*step.outcome.outputs, *step.outcome.blocks],
                "dropped": list(step.outcome.dropped),
                "details": dict(step.outcome.details),
            }
            for step in self.steps
        ]

    def _check(self, present: Sequence[str]) -> None:
        # The label is not there when new rows are scored.
        missing = [n for n in self.inputs if n not in present and n not in self.untouched]
        if missing:
            raise RecipeError(f"the data lacks {missing}, which the recipe was fitted on")

    def _write(self, folder: Path) -> None:
        steps = []
        for number, step in enumerate(self.steps):
            outcome = step.outcome
            blocks = {}
            for name, block in outcome.blocks.items():
                file = f"step-{number}-{name}.arrow"
                block.write(folder / file)
                blocks[name] = {"kind": block.kind, "file": file}
            for expr in outcome.outputs.values():
                for node in expr.walk():
                    if isinstance(node, Lookup) and not node.table.inline:
                        node.table.write(folder)
            steps.append(
                {
                    "operator": step.operator,
                    "parameters": dict(step.parameters),
                    "outputs": {name: expr.to_json() for name, expr in outcome.outputs.items()},
                    "infos": {name: asdict(info) for name, info in outcome.infos.items()},
                    "dropped": list(outcome.dropped),
                    "blocks": blocks,
                    "details": dict(outcome.details),
                }
            )
        data = {
            "format": FORMAT,
            "inputs": self.inputs,
            "untouched": list(self.untouched),
            "steps": steps,
        }
        (folder / "recipe.json").write_text(json.dumps(data, indent=1) + "\n")

    @classmethod
    def _read(cls, folder: Path) -> Self:
        data = json.loads((folder / "recipe.json").read_text())
        if data.get("format") != FORMAT:
            raise ModelError(f"{folder} is a recipe of format {data.get('format')}, not {FORMAT}")
        return cls(
            [_step(folder, item) for item in data["steps"]], data["inputs"], data["untouched"]
        )


def _step(folder: Path, data: Mapping[str, Any]) -> FittedStep:
    outcome = Outcome(
        outputs={
            name: Expr.from_json(_with_files(folder, expr))
            for name, expr in data["outputs"].items()
        },
        infos={
            name: ColumnInfo(**{**info, "source": tuple(info["source"])})
            for name, info in data["infos"].items()
        },
        dropped=tuple(data["dropped"]),
        blocks={name: _block(folder, noted) for name, noted in data["blocks"].items()},
        details=data["details"],
    )
    return FittedStep(data["operator"], data["parameters"], outcome)


def _block(folder: Path, noted: Mapping[str, str]) -> BlockFunction:
    classes = (AffineBlock, ResidualBlock, TermBlock)
    kinds: dict[str, type[BlockFunction]] = {c.kind: c for c in classes}
    if noted["kind"] not in kinds:
        raise ModelError(f"{folder} holds a block of kind {noted['kind']!r}, which is not known")
    return kinds[noted["kind"]].read(folder / noted["file"])


def _with_files(folder: Path, value: Any) -> Any:
    """JSON with the vocabularies that are files read."""
    if isinstance(value, dict):
        if "file" in value.get("vocabulary", ()):
            return {"vocabulary": Vocabulary.read(folder / value["vocabulary"]["file"])}
        return {name: _with_files(folder, item) for name, item in value.items()}
    return [_with_files(folder, item) for item in value] if isinstance(value, list) else value


def _apply(df: DataFrame, outcome: Outcome) -> DataFrame:
    if outcome.blocks:
        df = _apply_blocks(df, dict(outcome.blocks))

    def column(name: str, expr: Expr) -> Any:
        info = outcome.infos.get(name)
        compiled = to_column(expr)
        return compiled.alias(name, metadata=info.metadata()) if info else compiled

    df, exprs, lookups = join_lookups(df, outcome.outputs)
    changed = {name: column(name, expr) for name, expr in exprs.items()}
    df = df.withColumns(changed).drop(*lookups) if changed else df
    for name in outcome.blocks:
        if name in outcome.infos:
            df = df.withMetadata(name, outcome.infos[name].metadata())
    return df.drop(*(name for name in outcome.dropped if name not in changed))


def _apply_blocks(df: DataFrame, blocks: dict[str, BlockFunction]) -> DataFrame:
    """Append the array columns of all matrix functions in one pass over Arrow blocks."""
    from pyspark.sql.types import ArrayType, DoubleType, StructField, StructType

    added = [
        StructField(name, DoubleType() if block.scalar else ArrayType(DoubleType()))
        for name, block in blocks.items()
    ]
    # Spark refuses a mapInArrow result whose fields carry metadata of the input it cannot see.
    schema = StructType([*df.schema.fields, *added])

    def apply(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = [*batch.columns, *(block.apply(batch) for block in blocks.values())]
            yield pa.RecordBatch.from_arrays(arrays, names=[*batch.schema.names, *blocks])

    return df.mapInArrow(apply, schema)
