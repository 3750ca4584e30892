"""Inline SVG from matplotlib: one style, the same bytes for the same data, no network.

Text stays text (the page's font, searchable), ids are prefixed so that pictures do not meet in
one page, and names are never read as mathematics.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers can tell apart, without the pale yellow.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
GREYS = ("#4a4a4a", "#8a8a8a")
INK, MUTED, GRID = "#1b2733", "#56636f", "#e3e8ed"
BLUE, ORANGE, GREEN = COLOURS[0], COLOURS[1], COLOURS[2]
DASHES: tuple[tuple[float, ...], ...] = ((), (6, 2), (2, 1.5), (6, 2, 1.5, 2))

# Wide enough for three beside each other on a desktop, narrow enough that the text can be read on
# a phone: 4.4 inches are 422 pixels.
WIDTH, HEIGHT = 4.4, 3.5


@dataclass(frozen=True, kw_only=True)
class LineStyle:
    """Colour and dashes of one model in all pictures."""

    colour: str
    dashes: tuple[float, ...]
    width: float

    @property
    def matplotlib(self) -> dict[str, Any]:
        return {
            "color": self.colour,
            "linewidth": self.width,
            "linestyle": (0, self.dashes) if self.dashes else "-",
        }

    @property
    def dasharray(self) -> str:
        return " ".join(f"{length * self.width:g}" for length in self.dashes) or "none"


@dataclass(frozen=True, kw_only=True)
class Picture:
    """An SVG with what it shows in words: the caption, and the description for who cannot see."""

    svg: str
    caption: str


def line_styles(names: Sequence[str], greys: Sequence[str], best: str) -> dict[str, LineStyle]:
    """A style for each name: colours in order, dashed greys for `greys`, the best one bolder."""
    styles = {}
    coloured = [name for name in names if name not in greys]
    for place, name in enumerate(coloured):
        turn, colour = divmod(place, len(COLOURS))
        styles[name] = LineStyle(
            colour=COLOURS[colour],
            dashes=DASHES[turn % len(DASHES)],
            width=2.4 if name == best else 1.5,
        )
    for place, name in enumerate(name for name in names if name in greys):
        styles[name] = LineStyle(
            colour=GREYS[place % len(GREYS)],
            dashes=DASHES[1 + place % (len(DASHES) - 1)],
            width=1.5,
        )
    return styles


@contextmanager
def figure(width: float = WIDTH, height: float = HEIGHT) -> Iterator[Figure]:
    """An empty figure in the report's style; without pyplot, so nothing global is touched."""
    import matplotlib
    from matplotlib.figure import Figure

    with matplotlib.rc_context(cast(Any, _STYLE)):
        yield Figure(figsize=(width, height), layout="constrained")


def to_svg(drawn: Figure, identifier: str, description: str) -> str:
    """The figure as an SVG element that scales with its container."""
    engine = drawn.get_layout_engine()
    assert engine is not None
    # Once here; saving would draw everything a second time for it.
    engine.execute(drawn)
    drawn.set_layout_engine("none")
    buffer = io.StringIO()
    drawn.savefig(buffer, format="svg", transparent=True, metadata=_NO_METADATA)
    text = buffer.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = re.sub(r'\bid="([^"]*)"', rf'id="{identifier}-\1"', text)
    text = re.sub(r'xlink:href="#([^"]*)"', rf'href="#{identifier}-\1"', text)
    text = re.sub(r"url\(#([^)]*)\)", rf"url(#{identifier}-\1)", text)
    # A hundredth of a point cannot be seen.
    text = re.sub(r' d="([^"]*)"', lambda found: f' d="{_shorten(found[1])}"', text)
    box = re.search(r'viewBox="([^"]*)"', text)
    assert box is not None  # matplotlib always writes one
    head = (
        f'<svg viewBox="{box[1]}" role="img" aria-label="{escape(description)}" '
        'xmlns="http://www.w3.org/2000/svg">'
    )
    return head + re.sub(r"\s*\n\s*", "\n", text[text.index(">") + 1 :]).strip()


def tidy(axes: Axes, grid: str = "both") -> None:
    """Light grid behind the data, no box."""
    axes.grid(True, axis=grid, color=GRID, linewidth=0.8)  # type: ignore[arg-type]
    axes.set_axisbelow(True)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color("#b6c0ca")


def shortened(text: str, length: int) -> str:
    """The text, cut with an ellipsis when it is longer than `length`."""
    return text if len(text) <= length else text[: length - 1] + "…"


def _shorten(path: str) -> str:
    numbers = re.sub(r"(\.\d{2})\d+", r"\1", path)
    return " ".join(numbers.split())


_NO_METADATA: dict[str, Any] = {"Date": None, "Creator": None, "Format": None, "Type": None}
_STYLE: dict[str, Any] = {
    "svg.hashsalt": "sparkmine",
    "svg.fonttype": "none",
    "text.parse_math": False,
    "font.family": "DejaVu Sans",
    "font.size": 9.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.labelsize": 9.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 9.5,
    "ytick.labelsize": 9.5,
    "xtick.major.size": 0,
    "ytick.major.size": 0,
    "xtick.minor.size": 0,
    "ytick.minor.size": 0,
    "axes.unicode_minus": False,
}
