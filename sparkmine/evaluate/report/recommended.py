"""What a report shows of recommendations: how many baskets get some, of which items, and why."""

from __future__ import annotations

from dataclasses import dataclass

from sparkmine.evaluate.metrics import percent
from sparkmine.evaluate.report.pictures import (
    BLUE,
    MUTED,
    WIDTH,
    Picture,
    figure,
    shortened,
    tidy,
    to_svg,
)

_BARS = 12


@dataclass(frozen=True, kw_only=True)
class RecommendedItem:
    """An item, the baskets that it is recommended to, and the rule that does so most often.

    Fields:
        score: mean score of the rules, by basket.
        lift: mean lift of the rules, by basket; None where the rules are not known any more.
    """

    item: str
    baskets: int
    score: float | None
    lift: float | None
    antecedent: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class BasketExample:
    """What one basket gets: (item, score, antecedent of the rule), the best first."""

    basket: str
    items: tuple[tuple[str, float | None, tuple[str, ...]], ...]


@dataclass(frozen=True, kw_only=True)
class Recommendations:
    """Recommendations for the baskets of a table.

    Fields:
        baskets: how many there are, with recommendations or not.
        numbers: (recommendations, baskets that get so many), none first.
        items: the most recommended ones, of `all_items`.
    """

    table: str
    score: str
    item: str
    baskets: int
    numbers: tuple[tuple[int, int], ...]
    items: tuple[RecommendedItem, ...]
    all_items: int
    examples: tuple[BasketExample, ...] = ()

    @property
    def covered(self) -> int:
        """Baskets that get a recommendation."""
        return sum(baskets for number, baskets in self.numbers if number)

    @property
    def rows(self) -> int:
        """Recommendations, all baskets together."""
        return sum(number * baskets for number, baskets in self.numbers)


def pictures(found: Recommendations, identifier: str) -> list[Picture]:
    """How many recommendations a basket gets, and the most recommended items."""
    drawn = [_numbers(found, f"{identifier}-numbers")]
    return [*drawn, _items(found, f"{identifier}-items")] if found.items else drawn


def _numbers(found: Recommendations, identifier: str) -> Picture:
    with figure(WIDTH, 3.2) as drawn:
        axes = drawn.add_subplot()
        places = range(len(found.numbers))
        shares = [100 * baskets / max(1, found.baskets) for _, baskets in found.numbers]
        axes.bar(places, shares, color=BLUE, width=0.7)
        for place, share in zip(places, shares, strict=True):
            axes.text(place, share + 1, f"{share:.1f}", ha="center", color=MUTED)
        axes.set_xticks(places, [str(number) for number, _ in found.numbers])
        axes.set(
            xlabel="Recommendations", ylabel="Baskets, %", ylim=(0, 1.12 * max(shares, default=1))
        )
        tidy(axes, "y")
        listed = ", ".join(
            f"{number}: {percent(baskets / max(1, found.baskets))}"
            for number, baskets in found.numbers
        )
        svg = to_svg(drawn, identifier, f"Baskets by their number of recommendations: {listed}.")
    return Picture(svg=svg, caption="Recommendations that a basket gets.")


def _items(found: Recommendations, identifier: str) -> Picture:
    shown = found.items[:_BARS]
    with figure(WIDTH, 0.7 + 0.24 * len(shown)) as drawn:
        axes = drawn.add_subplot()
        shares = [100 * one.baskets / max(1, found.baskets) for one in shown]
        axes.barh(range(len(shown)), shares, color=BLUE, height=0.66)
        for place, (one, share) in enumerate(zip(shown, shares, strict=True)):
            text = f"{share:.1f}" + ("" if one.lift is None else f"  lift {one.lift:.2f}")
            axes.text(share + 0.02 * max(shares), place, text, va="center", color=MUTED)
        axes.set_yticks(range(len(shown)), [shortened(one.item, 22) for one in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlim(0, 1.5 * max(shares))
        axes.set_xlabel("% of the baskets")
        tidy(axes, "x")
        listed = ", ".join(
            f"{one.item} {share:.1f} %" for one, share in zip(shown, shares, strict=True)
        )
        svg = to_svg(drawn, identifier, f"Most recommended: {listed}.")
    return Picture(svg=svg, caption="The most recommended, with the mean lift of their rules.")
