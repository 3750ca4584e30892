"""What a report shows of models that combine others: averages, votes, stacking."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

METHODS = {"averaging": "average", "voting": "majority of votes", "stacking": "stacking"}


@dataclass(frozen=True, kw_only=True)
class Combined:
    """One ensemble.

    Fields:
        weights: of the members; empty where there are none: votes, and stacking.
        found: whether validation rows gave the weights; then `loss` is theirs, `equal` that of
            equal weights.
        final, folds: of stacking, what learns from the members, on how many folds.
    """

    stage: str
    method: str
    members: tuple[str, ...]
    weights: tuple[float, ...] = ()
    found: bool = False
    loss: float | None = None
    equal: float | None = None
    final: str | None = None
    folds: int | None = None

    @property
    def says(self) -> str:
        """The method in words."""
        return METHODS[self.method]

    @classmethod
    def of(cls, stage: str, metrics: Mapping[str, Any], config: Mapping[str, Any]) -> Self:
        """From the metrics of a stage and its block."""
        if "stacking" in metrics:
            figures = metrics["stacking"]
            return cls(
                stage=stage,
                method="stacking",
                members=tuple(figures["members"]),
                final=config["final"].get("estimator_class") or config["final"]["kind"],
                folds=figures["folds"],
            )
        members, loss = tuple(metrics["members"]), metrics.get("loss", {})
        given = config["weights"] if isinstance(config["weights"], list) else [1.0] * len(members)
        shares = [weight / sum(given) for weight in given]
        found = "weights" in metrics
        weights = [metrics["weights"][name] for name in members] if found else shares
        return cls(
            stage=stage,
            method=metrics["method"],
            members=members,
            weights=() if metrics["method"] == "voting" else tuple(weights),
            found=found,
            loss=loss.get("weighted"),
            equal=loss.get("equal"),
        )
