"""What a report shows of what is done to a fitted binary model: calibration, and decisions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

from sparkmine.evaluate.report.pictures import BLUE, Picture, figure, tidy, to_svg


@dataclass(frozen=True, kw_only=True)
class CalibrationCurve:
    """How one model's probabilities were corrected: `curve` has (score, probability)."""

    model: str
    method: str
    rows: int
    positives: int
    curve: tuple[tuple[float, float], ...]

    @classmethod
    def of(cls, model: str, figures: Mapping[str, Any]) -> Self:
        """From the metrics of a stage."""
        return cls(
            model=model,
            method=figures["method"],
            rows=figures["rows"],
            positives=figures["positives"],
            curve=tuple((score, probability) for score, probability in figures["curve"]),
        )


@dataclass(frozen=True, kw_only=True)
class Prices:
    """What decisions cost, gains are negative."""

    false_positive: float
    false_negative: float
    true_positive: float
    true_negative: float


@dataclass(frozen=True, kw_only=True)
class ChosenThreshold:
    """The threshold that was cheapest on `rows`; costs are those of a row, also at 0.5."""

    model: str
    prices: Prices
    threshold: float
    rows: int
    positives: int
    cost: float
    cost_at_half: float

    @classmethod
    def of(cls, model: str, figures: Mapping[str, Any], costs: Mapping[str, Any]) -> Self:
        """From the metrics of a stage and its block `costs:`."""
        return cls(
            model=model,
            prices=Prices(**{name: costs[name] for name in Prices.__dataclass_fields__}),
            threshold=figures["threshold"],
            rows=figures["rows"],
            positives=figures["positives"],
            cost=figures["expected_cost"],
            cost_at_half=figures["expected_cost_at_half"],
        )


@dataclass(frozen=True, kw_only=True)
class Judged:
    """Decisions by one threshold: how many rows [was][taken for], and what a row costs."""

    threshold: float
    counts: tuple[tuple[int, int], tuple[int, int]]
    cost: float | None

    @classmethod
    def of(cls, figures: Mapping[str, Any]) -> Self:
        """From JSON values."""
        zeros, ones = ((row[0], row[1]) for row in figures["counts"])
        return cls(threshold=figures["threshold"], counts=(zeros, ones), cost=figures["cost"])


@dataclass(frozen=True, kw_only=True)
class JudgedDecisions:
    """One model's decisions on the rows of an evaluation.

    Fields:
        expected: what a row cost where the threshold was chosen.
        chosen, common: by the model's own threshold, and by that of the evaluation.
        classes: what 0 and 1 are called.
    """

    stage: str
    model: str
    expected: float
    chosen: Judged
    common: Judged
    classes: tuple[str, ...] = ("0", "1")

    @classmethod
    def of(cls, stage: str, figures: Mapping[str, Any], classes: Sequence[str] | None) -> Self:
        """From the metrics of an evaluation."""
        return cls(
            stage=stage,
            model=figures["model"],
            expected=figures["expected_cost"],
            chosen=Judged.of(figures["chosen"]),
            common=Judged.of(figures["common"]),
            classes=tuple(classes or ("0", "1")),
        )


def picture(found: CalibrationCurve, identifier: str) -> Picture:
    """The corrected probability by what the model said."""
    x, y = ([point[place] for point in found.curve] for place in (0, 1))
    with figure() as drawn:
        axes = drawn.add_subplot()
        axes.plot([0, 1], [0, 1], color="#b6c0ca", linewidth=1)
        axes.plot(x, y, color=BLUE, linewidth=2.0)
        axes.set(xlabel="What the model said", ylabel="Probability, calibrated")
        axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03))
        tidy(axes)
        ends = f"{x[0]:.2f} became {y[0]:.2f}, {x[-1]:.2f} became {y[-1]:.2f}" if x else "no rows"
        svg = to_svg(drawn, identifier, f"Calibration of {found.model}: {ends}.")
    caption = (
        f"{found.model}: above the diagonal it had said too little, below it too much "
        f"({found.method}, {found.rows:,} rows)."
    )
    return Picture(svg=svg, caption=caption)
