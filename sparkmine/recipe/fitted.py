"""A fitted recipe: expressions and matrices, saved as JSON and Arrow, run on Spark or Arrow."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import pyarrow as pa

from sparkmine.errors import ModelError, RecipeError
from sparkmine.expr import Expr, Lookup, Vocabulary, evaluate, join_lookups, to_column
from sparkmine.lake.inputs import as_frame
from sparkmine.lake.snapshot import Snapshot
from sparkmine.model import Model
from sparkmine.recipe.block import BlockFunction
from sparkmine.recipe.columns import ColumnInfo
from sparkmine.recipe.learned import Learned
from sparkmine.recipe.operator import Outcome, operator_from, operator_named
from sparkmine.recipe.spark_vector import TYPE, vector_array, vector_column
from sparkmine.stats import here
from sparkmine.stats.sparse import spark_type

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

    from sparkmine.recipe.recipe import Recipe
    from sparkmine.recipe.spark_ml import RecipeModel

FORMAT = 3


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
        keys, label, keep: Columns that pass through, as in the recipe.
        scans: How often the fit scanned the table; 0 for a loaded recipe.
        learned: What an update starts from; None for a recipe fitted on a DataFrame.
    """

    def __init__(
        self,
        steps: Sequence[FittedStep],
        inputs: Mapping[str, str],
        *,
        keys: Sequence[str] = (),
        label: str | None = None,
        keep: Sequence[str] = (),
        scans: int = 0,
        learned: Learned | None = None,
    ) -> None:
        self.steps = tuple(steps)
        self.inputs = dict(inputs)
        self.keys = tuple(keys)
        self.label = label
        self.keep = tuple(keep)
        self.scans = scans
        self.learned = learned

    @property
    def untouched(self) -> tuple[str, ...]:
        """Columns that no operator works on."""
        return (*self.keys, *([self.label] if self.label else []), *self.keep)

    def recipe(self) -> Recipe:
        """The recipe that was fitted."""
        from sparkmine.recipe.recipe import Recipe

        operators = [operator_from(step.operator, step.parameters) for step in self.steps]
        return Recipe(*operators, keys=self.keys, label=self.label, keep=self.keep)

    def model(self) -> RecipeModel:
        """The fitted recipe as a Model of `pyspark.ml`."""
        from sparkmine.recipe.spark_ml import RecipeModel

        return RecipeModel(self)

    def frozen(self) -> FittedRecipe:
        """The same without what an update starts from, which may be large."""
        return FittedRecipe(
            self.steps, self.inputs, keys=self.keys, label=self.label, keep=self.keep
        )

    def update(
        self,
        snapshot: Snapshot,
        spark: SparkSession | None = None,
        scratch: str | Path | None = None,
    ) -> FittedRecipe:
        """The recipe as fitted on `snapshot`, a later version of its table; this one stays.

        Only files that were added since are scanned; quantiles that must be split more finely
        than before are scanned once more over all files. The result equals a new fit, but that
        indexes (`OrdinalIndex`) keep their numbers.

        Args:
            scratch: See `Recipe.fit`. On a cluster the recipe is updated without it too, but keeps
                no counts for the next update.

        Raises:
            RecipeError: another table or part of it; rows were deleted or rewritten; operators
                whose statistics cannot be updated, which are named.
        """
        from sparkmine.recipe.fitting import update
        from sparkmine.recipe.recipe import session_of

        folder = None if scratch is None else Path(scratch)
        return update(self, snapshot, session_of(snapshot, spark), folder)

    @property
    def outputs(self) -> list[str]:
        """Names of the columns of the result."""
        names = dict.fromkeys(self.inputs)
        for step in self.steps:
            for name in step.outcome.dropped:
                names.pop(name, None)
            names.update(dict.fromkeys([*step.outcome.outputs, *step.outcome.blocks]))
        return list(names)

    def transform(self, data: DataFrame | Snapshot, spark: SparkSession | None = None) -> DataFrame:
        """Apply all steps; rows and their order within partitions are kept, the order but where a
        vocabulary of more than five million keys is joined.

        A small snapshot is transformed at once, in this process.

        Args:
            spark: Where a snapshot is read; the active session if left out.

        Raises:
            RecipeError: columns of the fitted schema are missing or have another type; all of
                them are listed.
        """
        transformed = self._applied(as_frame(data, spark), [step.outcome for step in self.steps])
        if not isinstance(data, Snapshot) or self._needs_spark():
            return transformed
        return here.computed(data, transformed, self.transform_arrow)

    def _needs_spark(self) -> bool:
        """Whether it makes or takes Spark ML's vectors, or looks up in vocabularies in files."""
        outcomes = [step.outcome for step in self.steps]
        exprs = (expr for outcome in outcomes for expr in outcome.outputs.values())
        return (
            "vector" in self.inputs.values()
            or any(outcome.spark_vectors for outcome in outcomes)
            or any(isinstance(n, Lookup) and not n.table.inline for e in exprs for n in e.walk())
        )

    def transform_training(self, df: DataFrame) -> DataFrame:
        """As `transform`, for the rows of the fit: see `Recipe.fit_transform`."""
        outcomes = [step.outcome for step in self.steps]
        return self._applied(
            df, [replace(o, outputs={**o.outputs, **o.training}) for o in outcomes]
        )

    def _applied(self, df: DataFrame, outcomes: Sequence[Outcome]) -> DataFrame:
        self._check({field.name: field.dataType.simpleString() for field in df.schema.fields})
        for outcome in outcomes:
            df = _apply(df, outcome)
        return df

    def transform_arrow(self, table: pa.Table) -> pa.Table:
        """The same without Spark; very large vocabularies are read into memory."""
        vectors = {name for name, kind in self.inputs.items() if kind == "vector"}
        self._check(_types_of(table, vectors))
        for step in self.steps:
            outcome = step.outcome
            made = {name: evaluate(expr, table) for name, expr in outcome.outputs.items()}
            for name in outcome.spark_vectors:
                made[name] = vector_array(made[name])
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

    def _check(self, present: Mapping[str, str]) -> None:
        # The label is not there when new rows are scored.
        wanted = {name: kind for name, kind in self.inputs.items() if name not in self.untouched}
        missing = [name for name in wanted if name not in present]
        retyped = [
            f"{name} ({present[name]}, not {kind})"
            for name, kind in wanted.items()
            if name in present and present[name] != kind
        ]
        if missing or retyped:
            lacks = f"lacks {missing}" if missing else ""
            other = f"has other types in {', '.join(retyped)}" if retyped else ""
            both = " and ".join(part for part in (lacks, other) if part)
            raise RecipeError(f"the data {both}; the recipe was fitted on these columns")

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
            "keys": list(self.keys),
            "label": self.label,
            "keep": list(self.keep),
            "steps": steps,
        }
        (folder / "recipe.json").write_text(json.dumps(data, indent=1) + "\n")
        if self.learned is not None:
            self.learned.save(folder)

    @classmethod
    def _read(cls, folder: Path) -> Self:
        data = json.loads((folder / "recipe.json").read_text())
        if data.get("format") != FORMAT:
            raise ModelError(f"{folder} is a recipe of format {data.get('format')}, not {FORMAT}")
        return cls(
            [_step(folder, item) for item in data["steps"]],
            data["inputs"],
            keys=data["keys"],
            label=data["label"],
            keep=data["keep"],
            learned=Learned.load(folder),
        )


def _types_of(table: pa.Table, vectors: Collection[str]) -> dict[str, str]:
    """Spark's names of an Arrow table's types; structs may stand for the columns `vectors`."""
    from pyspark.sql.pandas.types import from_arrow_type

    found = {}
    for field in table.schema:
        if field.name in vectors and field.type == TYPE:
            found[field.name] = "vector"
            continue
        kind = field.type.value_type if pa.types.is_dictionary(field.type) else field.type
        # Only a zone tells Arrow's moments from its wall-clock times.
        zoned = not pa.types.is_timestamp(kind) or kind.tz is not None
        found[field.name] = from_arrow_type(kind, prefer_timestamp_ntz=not zoned).simpleString()
    return found


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
        blocks={
            name: _block(folder, data["operator"], noted) for name, noted in data["blocks"].items()
        },
        details=data["details"],
    )
    return FittedStep(data["operator"], data["parameters"], outcome)


def _block(folder: Path, operator: str, noted: Mapping[str, str]) -> BlockFunction:
    if BlockFunction.of_kind(noted["kind"]) is None:
        operator_named(operator)  # the module of an operator defines its block function
    found = BlockFunction.of_kind(noted["kind"])
    if found is None:
        raise ModelError(f"{folder} holds a block of kind {noted['kind']!r}, which is not known")
    return found.read(folder / noted["file"])


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
        if name in outcome.spark_vectors:
            compiled = vector_column(compiled)
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
    from pyspark.sql.types import ArrayType, DataType, DoubleType, StructField, StructType

    def kind(block: BlockFunction) -> DataType:
        if block.sparse:
            return spark_type()
        return DoubleType() if block.scalar else ArrayType(DoubleType())

    added = [StructField(name, kind(block)) for name, block in blocks.items()]
    # Spark refuses a mapInArrow result whose fields carry metadata of the input it cannot see.
    schema = StructType([*df.schema.fields, *added])

    def apply(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            arrays = [*batch.columns, *(block.apply(batch) for block in blocks.values())]
            yield pa.RecordBatch.from_arrays(arrays, names=[*batch.schema.names, *blocks])

    return df.mapInArrow(apply, schema)
