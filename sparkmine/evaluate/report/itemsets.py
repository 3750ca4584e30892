"""What a report shows of frequent itemsets: how many there are of each length, and the first."""

from __future__ import annotations

from dataclasses import dataclass

from sparkmine.evaluate.report.pictures import BLUE, MUTED, WIDTH, Picture, figure, tidy, to_svg


@dataclass(frozen=True, kw_only=True)
class FrequentItemset:
    """Items and the share of the baskets that hold all of them."""

    items: tuple[str, ...]
    support: float
    baskets: int


@dataclass(frozen=True, kw_only=True)
class FrequentItemsets:
    """Frequent itemsets of a table.

    Fields:
        keep: which are in the table: `all`, the `closed` or the `maximal`.
        baskets: how many baskets there are.
        mined: how many itemsets are frequent, in the table or not.
        lengths: (items, itemsets of so many), ascending.
        first: the most frequent of two items or more.
    """

    table: str
    keep: str
    min_support: float
    baskets: int
    mined: int
    lengths: tuple[tuple[int, int], ...]
    first: tuple[FrequentItemset, ...]

    @property
    def rows(self) -> int:
        """Itemsets in the table."""
        return sum(number for _, number in self.lengths)


def picture(found: FrequentItemsets, identifier: str) -> Picture:
    """Itemsets by their number of items."""
    with figure(WIDTH, 3.0) as drawn:
        axes = drawn.add_subplot()
        places = range(len(found.lengths))
        numbers = [number for _, number in found.lengths]
        axes.bar(places, numbers, color=BLUE, width=0.7)
        for place, number in zip(places, numbers, strict=True):
            axes.text(place, number, f"{number:,}", ha="center", va="bottom", color=MUTED)
        axes.set_xticks(places, [str(length) for length, _ in found.lengths])
        axes.set(xlabel="Items", ylabel="Itemsets", ylim=(0, 1.12 * max(numbers, default=1)))
        tidy(axes, "y")
        listed = ", ".join(f"{length}: {number:,}" for length, number in found.lengths)
        svg = to_svg(drawn, identifier, f"Itemsets by their number of items: {listed}.")
    return Picture(svg=svg, caption="Itemsets by their number of items.")
