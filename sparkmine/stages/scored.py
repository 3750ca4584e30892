"""What stages share that fit a model and score rows, and how scores of several models meet.

Each model stage leaves a saved model and a table of scores: the keys, the label and `prediction`:
of two classes the probability of class 1, of a regression the number, of several classes the class.
Then the table has `probability` too, an array with one number a class, where the model knows it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from sparkmine.errors import ConfigError
from sparkmine.evaluate.report.weights import weights_of
from sparkmine.model import DECISION, SCORES, Model, Task
from sparkmine.stages.base import Condition, Context, Names, Result, Stage, TableName
from sparkmine.stages.decisions import CalibrationBlock, CostsBlock, check_decisions, decided
from sparkmine.stages.learnt import check_some, counted
from sparkmine.stages.needs import Need, asked, named

MISMATCH = (
    "the models' scores do not join one to one; give their stages the same `score:`, and `keys:` "
    "that name a row"
)


class ModelStage(Stage):
    """What all model stages have in common.

    Attributes:
        task: What the label is: 0 and 1, the classes 0 to k - 1, or a number.
        train: Rows to learn from.
        score: Rows to score; all if left out.
        calibration: How the probabilities of class 1 are corrected, and by which rows.
        costs: What wrong decisions cost; the scores then have the column `decision`.
    """

    input: TableName
    table: TableName
    keys: Names
    label: str
    task: Task = "binary"
    train: Condition
    score: Condition | None = None
    calibration: CalibrationBlock | None = None
    costs: CostsBlock | None = None

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def needs(self) -> Iterable[Need]:
        yield named("keys", self.input, *self.keys)
        yield named("label", self.input, self.label)
        yield asked("train", self.input, self.train)
        yield asked("score", self.input, self.score)
        for key, block in (("calibration", self.calibration), ("costs", self.costs)):
            yield asked(f"{key}.where", self.input, block.where if block else None)

    def check(self, base: Path) -> None:
        check_decisions(self, self.task)

    @abstractmethod
    def fit(self, context: Context) -> tuple[Model, dict[str, Any]]:
        """The fitted model and metrics for the ledger."""

    def run(self, context: Context) -> Result:
        check_some(context, self.input, "score", self.score)
        fitted, metrics = self.fit(context)
        model, chosen = decided(self, context, fitted)
        model.save(context.artifact())
        rows = context.rows(self.input, self.score)
        scored = model.score(rows, [*self.keys, self.label], context.spark)
        added = [name for name in (*SCORES, DECISION) if name in scored.columns]
        frame = scored.select(*self.keys, self.label, *added)
        heaviest = weights_of(getattr(fitted, "details", {}))
        shown = {"heaviest": heaviest} if heaviest else {}
        return Result(frame=frame, metrics={**metrics, **chosen, **shown}, artifact=True)


def joined_scores(
    context: Context, tables: Mapping[str, str], keys: list[str], where: str | None = None
) -> Any:
    """Scores of several models side by side: the keys and one column a model.

    That is its probabilities of several classes where it has them, else its prediction.

    Raises:
        ConfigError: the models did not score the same rows, or one is called like a key.
    """
    taken = sorted(set(tables) & set(keys))
    if taken:
        raise ConfigError(
            f"stage {context.stage}: the name {taken[0]!r} of a model is a column of the scores; "
            "name it otherwise"
        )
    frames = {
        name: context.frame(table, where).select(
            *keys, score_column(context.inputs[table].schema.names).alias(name)
        )
        for name, table in tables.items()
    }
    counts = {name: context.inputs[table].rows for name, table in tables.items()}
    if len(set(counts.values())) > 1:
        raise ConfigError(
            f"stage {context.stage}: the models scored different rows ({counts}); "
            "give their stages the same `score:`"
        )
    return side_by_side(frames, keys)


def side_by_side(frames: Mapping[str, Any], keys: Sequence[str]) -> Any:
    """Frames of the keys and one column each, joined by the keys."""
    first, *others = frames.values()
    for other in others:
        # The label is null in rows that are scored for the future: null must equal null.
        condition = [first[key].eqNullSafe(other[key]) for key in keys]
        first = first.join(other, condition).drop(*(other[key] for key in keys))
    return first


def check_joined(context: Context, tables: Mapping[str, str], rows: int, where: str) -> None:
    """Raise ConfigError unless each model's rows were joined one to one."""
    first = next(iter(tables.values()))
    expected = counted(context, context.inputs[first].where(where))
    if rows != expected:
        raise ConfigError(
            f"stage {context.stage}: {expected} rows of {first} became {rows}: {MISMATCH}"
        )


def score_column(columns: Sequence[str]) -> Any:
    """Of the columns of a table of scores, the probabilities of several classes or the score."""
    from pyspark.sql import functions as F

    return F.col(SCORES[1] if SCORES[1] in columns else SCORES[0])
