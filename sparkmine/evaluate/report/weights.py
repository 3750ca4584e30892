"""What a report shows of a classical model: its coefficients, or the importances of its trees.

A coefficient depends on the unit of its column; times the column's standard deviation over the
training rows, its effect, it can be compared with others. Importances are shares of what all splits
of the trees gained (Breiman, Friedman, Olshen and Stone 1984); they favour columns of many values.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

from sparkmine.evaluate.report.pictures import (
    BLUE,
    MUTED,
    ORANGE,
    WIDTH,
    Picture,
    figure,
    shortened,
    tidy,
    to_svg,
)

# Columns that the ledger keeps of a model, and that a picture shows.
KEPT, _BARS = 25, 15


@dataclass(frozen=True, kw_only=True)
class ColumnWeight:
    """A column of a model.

    Fields:
        values: the coefficient, of several classes one a class; or the importance.
        effects: coefficients times the column's standard deviation; the importance itself.
    """

    column: str
    values: tuple[float, ...]
    effects: tuple[float, ...]


@dataclass(frozen=True, kw_only=True)
class ModelWeights:
    """The columns that weigh most in a model, the heaviest first; `columns` is how many it has."""

    model: str
    kind: Literal["coefficients", "importances"]
    columns: int
    used: int
    top: tuple[ColumnWeight, ...]

    @classmethod
    def of(cls, model: str, figures: Mapping[str, Any]) -> Self:
        """From the metrics of a stage."""
        top = tuple(
            ColumnWeight(column=name, values=tuple(values), effects=tuple(effects))
            for name, values, effects in figures["top"]
        )
        return cls(
            model=model,
            kind=figures["kind"],
            columns=figures["columns"],
            used=figures["used"],
            top=top,
        )


def weights_of(details: Mapping[str, Any]) -> dict[str, Any] | None:
    """The heaviest columns of a fitted model, from its details, as JSON; None if it has none."""
    for kind in ("coefficients", "importances"):
        found: Mapping[str, float | Sequence[float]] = details.get(kind) or {}
        if not found:
            continue
        deviations = details.get("deviations", {}) if kind == "coefficients" else {}
        rows = []
        for name, value in found.items():
            values = [float(v) for v in ([value] if isinstance(value, int | float) else value)]
            rows.append((name, values, [v * deviations.get(name, 1.0) for v in values]))
        rows.sort(key=lambda row: (-_size(row[2]), row[0]))
        return {
            "kind": kind,
            "columns": len(rows),
            "used": sum(any(values) for _, values, _ in rows),
            "top": [list(row) for row in rows[:KEPT] if any(row[1])],
        }
    return None


def picture(found: ModelWeights, identifier: str) -> Picture:
    """Bars of the effects; of several classes, of their root mean square."""
    shown = found.top[:_BARS]
    signed = found.kind == "coefficients" and all(len(one.effects) == 1 for one in shown)
    sizes = [one.effects[0] if signed else _size(one.effects) for one in shown]
    with figure(WIDTH, 0.8 + 0.24 * max(1, len(shown))) as drawn:
        axes = drawn.add_subplot()
        colours = [BLUE if size >= 0 else ORANGE for size in sizes]
        axes.barh(range(len(shown)), sizes, color=colours, height=0.66)
        reach = max((abs(size) for size in sizes), default=1.0)
        for place, size in enumerate(sizes):
            text = f"{size:+.3g}" if signed else f"{size:.3g}"
            side = 0.03 * reach if size >= 0 else -0.03 * reach
            where = "left" if size >= 0 else "right"
            axes.text(size + side, place, text, va="center", ha=where, color=MUTED)
        if signed:
            axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set_yticks(range(len(shown)), [shortened(one.column, 24) for one in shown])
        axes.set_ylim(max(len(shown), 1) - 0.4, -0.6)
        axes.margins(x=0.28)
        axes.set_xlabel("Coefficient × deviation" if found.kind == "coefficients" else "Importance")
        tidy(axes, "x")
        listed = ", ".join(
            f"{one.column} {size:.3g}" for one, size in zip(shown, sizes, strict=True)
        )
        svg = to_svg(drawn, identifier, f"{found.kind.capitalize()} of {found.model}: {listed}.")
    several = ", root mean square over the classes" if sizes and not signed else ""
    what = (
        "effect of a standard deviation" + several if found.kind == "coefficients" else "importance"
    )
    return Picture(svg=svg, caption=f"{found.model}: {what}.")


def _size(effects: Sequence[float]) -> float:
    return math.sqrt(sum(effect * effect for effect in effects) / max(1, len(effects)))
