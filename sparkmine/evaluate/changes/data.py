"""What a comparison of two runs shows: plain data, that the pipeline fills in."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from sparkmine.evaluate.comparison import Evaluation
from sparkmine.evaluate.plain import PlainData

Rows = Literal["same", "different", "unknown"]


@dataclass(frozen=True, kw_only=True)
class RunSide:
    """One of the two runs as a whole. `seconds` is None for a run that has not ended."""

    run_id: str
    pipeline: str
    date: str
    started: str
    code_version: str
    seed: int | None
    status: str
    seconds: float | None
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class StageSide:
    """What one run says of a stage; None where a number does not apply.

    `read` has the versions of the tables read; `reasons` the rows that broke each rule, by rule:
    None where the stage counts none.
    """

    status: str
    rows_in: int | None = None
    kept: int | None = None
    quarantined: int | None = None
    removed: int | None = None
    seconds: float | None = None
    table: str = ""
    version: int | None = None
    read: dict[str, int] = field(default_factory=dict)
    why: str = ""  # it ran, or it failed
    reasons: dict[str, int] | None = None


@dataclass(frozen=True, kw_only=True)
class StageChange:
    """Something that a stage's result depends on and that differs; None where there is none.

    `what` is input, file, setting, seed or code; `name` the table, file or key.
    """

    what: str
    name: str
    a: str | None
    b: str | None


@dataclass(frozen=True, kw_only=True)
class StagePair:
    """One stage in both runs; a side is None where the run has no line of it.

    `same` is true when both runs have one result, and None when that is not known: `note` says why.
    """

    name: str
    kind: str
    a: StageSide | None
    b: StageSide | None
    same: bool | None
    changes: tuple[StageChange, ...] = ()
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class EvaluationPair:
    """The evaluations of one stage; None where a run has none.

    `rows` says whether both are over the same rows, and `rows_note` how that is known.
    """

    stage: str
    a: Evaluation | None
    b: Evaluation | None
    rows: Rows = "unknown"
    rows_note: str = ""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ChampionSide:
    """The model in use after a run; without a `version` none has passed the gate yet."""

    version: int | None
    model: str | None
    promoted: bool
    why: str


@dataclass(frozen=True, kw_only=True)
class ChampionPair:
    """The champion of one stage after either run; None where the stage has no result."""

    table: str
    a: ChampionSide | None
    b: ChampionSide | None
    same: bool  # the same files of a model


@dataclass(frozen=True, kw_only=True)
class RunComparison(PlainData):
    """All that the comparison of two runs shows. Stages are in the order in which they ran."""

    a: RunSide
    b: RunSide
    stages: tuple[StagePair, ...] = ()
    evaluations: tuple[EvaluationPair, ...] = ()
    champions: tuple[ChampionPair, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def changed(self) -> tuple[StagePair, ...]:
        """The stages whose results differ."""
        return tuple(stage for stage in self.stages if stage.same is False)

    @property
    def unknown(self) -> tuple[StagePair, ...]:
        """The stages that cannot be compared: a run lacks the result, or its commit is gone."""
        return tuple(stage for stage in self.stages if stage.same is None)
