"""The YAML of what is done to a fitted binary model: calibration, and a threshold for costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.model import Model
from sparkmine.stages.base import Block, Condition, Context
from sparkmine.stages.learnt import counted

if TYPE_CHECKING:
    from sparkmine.stages.scored import ModelStage


class CalibrationBlock(Block):
    """Probabilities that mean frequencies: see `sparkmine.mine.Calibration`.

    Attributes:
        where: Rows that the model did not learn from.
    """

    method: Literal["sigmoid", "isotonic"] = "isotonic"
    where: Condition


class CostsBlock(Block):
    """The threshold of least cost: see `sparkmine.mine.Costs`.

    Attributes:
        where: Rows that the model did not learn from.
    """

    false_positive: float = Field(strict=False)
    false_negative: float = Field(strict=False)
    true_positive: float = Field(default=0.0, strict=False)
    true_negative: float = Field(default=0.0, strict=False)
    where: Condition


def check_decisions(stage: ModelStage, task: str) -> None:
    """Raise ConfigError unless the stage's calibration and costs can be meant."""
    for key in ("calibration", "costs"):
        if getattr(stage, key) is not None and task != "binary":
            raise ConfigError(f"stage {stage.name}: {key} is for a binary task, not {task}")
    if stage.costs is not None:
        from sparkmine import mine

        try:
            mine.Costs(**stage.costs.model_dump(exclude={"where"}))
        except ConfigError as error:
            raise ConfigError(f"stage {stage.name}: {error.args[0]}") from None


def decided(stage: ModelStage, context: Context, model: Model) -> tuple[Model, dict[str, Any]]:
    """The model, calibrated and with a threshold if the stage says so, and metrics for the ledger.

    Raises:
        ConfigError: rows to calibrate or to decide on that the model learnt from.
    """
    from sparkmine import mine

    metrics: dict[str, Any] = {}
    table = context.inputs[stage.input]
    for key, block in (("calibration", stage.calibration), ("costs", stage.costs)):
        if block is None:
            continue
        rows = table.where(block.where)
        if counted(context, rows.where(stage.train)):
            raise ConfigError(
                f"stage {stage.name}: {key}.where takes rows that the model learns from"
            )
    if stage.calibration is not None:
        rows = table.where(stage.calibration.where)
        calibration = mine.Calibration(method=stage.calibration.method)
        model = calibration.fit(model, rows, stage.label, context.spark)
        # Of a model that is one expression again, its details are among the model's.
        details = getattr(model, "details", {})
        metrics["calibration"] = details.get("calibration", details)
    if stage.costs is not None:
        costs = mine.Costs(**stage.costs.model_dump(exclude={"where"}))
        rows = table.where(stage.costs.where)
        chosen = costs.choose(model, rows, stage.label, context.spark)
        metrics["decision"] = chosen.details
        model = chosen
    return model, metrics
