"""What stages share that choose or combine models by cross-validation: folds in YAML."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field

from sparkmine.stages.base import Block, Context, Names
from sparkmine.stages.needs import Need, named

if TYPE_CHECKING:
    from sparkmine.model import Estimator
    from sparkmine.selection import Folds


class KFoldBlock(Block):
    """See `sparkmine.selection.KFold`; the keys are the stage's when left out."""

    kind: Literal["k_fold"]
    k: int = Field(default=5, ge=2)
    keys: Names = Field(default_factory=list)
    seed: int | None = Field(default=None, ge=0)

    def folds(self, keys: list[str], seed: int) -> Folds:
        from sparkmine.selection import KFold

        chosen = seed if self.seed is None else self.seed
        return KFold(keys=tuple(self.keys or keys), k=self.k, seed=chosen)


class StratifiedBlock(Block):
    """See `sparkmine.selection.StratifiedKFold`; the keys are the stage's when left out."""

    kind: Literal["stratified"]
    k: int = Field(default=5, ge=2)
    keys: Names = Field(default_factory=list)
    seed: int | None = Field(default=None, ge=0)

    def folds(self, keys: list[str], seed: int) -> Folds:
        from sparkmine.selection import StratifiedKFold

        chosen = seed if self.seed is None else self.seed
        return StratifiedKFold(keys=tuple(self.keys or keys), k=self.k, seed=chosen)


class GroupBlock(Block):
    """See `sparkmine.selection.GroupKFold`."""

    kind: Literal["grouped"]
    column: str
    k: int = Field(default=5, ge=2)
    seed: int | None = Field(default=None, ge=0)

    def folds(self, keys: list[str], seed: int) -> Folds:
        from sparkmine.selection import GroupKFold

        return GroupKFold(
            column=self.column, k=self.k, seed=seed if self.seed is None else self.seed
        )


class TimeBlock(Block):
    """See `sparkmine.selection.TimeSeriesSplit`."""

    kind: Literal["time"]
    column: str
    k: int = Field(default=5, ge=2)
    gap: float = Field(default=0.0, ge=0.0, strict=False)

    def folds(self, keys: list[str], seed: int) -> Folds:
        from sparkmine.selection import TimeSeriesSplit

        return TimeSeriesSplit(column=self.column, k=self.k, gap=self.gap)


def folds_need(folds: Any, table: str) -> Need:
    """The columns that folds are made by."""
    by_column = isinstance(folds, GroupBlock | TimeBlock)
    names = [folds.column] if by_column else folds.keys
    return named("folds.column" if by_column else "folds.keys", table, *names)


# What a stage's `folds:` may be; each has `folds(keys, seed)`.
FoldsBlock = Annotated[
    KFoldBlock | StratifiedBlock | GroupBlock | TimeBlock, Field(discriminator="kind")
]


def placed(estimator: Estimator, context: Context, keys: list[str]) -> Estimator:
    """The estimator, with the warehouse's folder for rows that it may have to write.

    One that holds rows out draws them by the stage's keys where it names none.
    """
    settings: Any = estimator
    if hasattr(settings, "scratch"):
        settings = replace(settings, scratch=f"{context.target.root}/_scratch")
    if getattr(settings, "validation_share", 0.0) and not settings.validation_keys:
        settings = replace(settings, validation_keys=tuple(keys))
    found: Estimator = settings
    return found
