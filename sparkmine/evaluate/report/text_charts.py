"""Pictures of texts: bars of keywords by group, and of the words of topics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

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
from sparkmine.evaluate.report.texts import GroupKeywords, KeywordTable, TopicTable

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_GREY = "#b6c0ca"
_ROW = 0.25  # inches
_LETTERS = 22
# Groups that are drawn, and words of each.
_GROUPS, _WORDS = 9, 8


def keywords(found: KeywordTable, identifier: str) -> list[Picture]:
    """For the largest groups, the shares of texts with each keyword inside and outside."""
    drawn = [one for one in found.largest if one.keywords][:_GROUPS]
    return [_group(one, f"{identifier}-{i}") for i, one in enumerate(drawn)]


def _group(one: GroupKeywords, identifier: str) -> Picture:
    words = one.keywords[:_WORDS]
    with figure(WIDTH, 0.7 + _ROW * len(words)) as drawn:
        axes = drawn.add_subplot()
        for place, word in enumerate(words):
            axes.barh(place - 0.17, 100 * word.inside, color=BLUE, height=0.34)
            axes.barh(place + 0.2, 100 * word.outside, color=_GREY, height=0.34)
        _labelled(axes, [word.term for word in words])
        axes.set_xlabel("% of the texts (blue: in the group, grey: in all others)")
        listed = ", ".join(
            f"{word.term} {percent(word.inside)} against {percent(word.outside)}" for word in words
        )
        svg = to_svg(drawn, identifier, f"Keywords of {one.group}: {listed}.")
    return Picture(svg=svg, caption=f"{one.group}: {one.texts:,} texts.")


def topics(found: TopicTable, identifier: str) -> list[Picture]:
    """For each topic, how likely its first words are."""
    return [
        _topic(number, topic.words, topic.share, topic.coherence, f"{identifier}-{number}")
        for number, topic in enumerate(found.topics)
    ]


def _topic(
    number: int,
    words: Sequence[tuple[str, float]],
    share: float,
    coherence: float,
    identifier: str,
) -> Picture:
    with figure(WIDTH, 0.7 + 0.8 * _ROW * len(words)) as drawn:
        axes = drawn.add_subplot()
        most = max((probability for _, probability in words), default=1.0)
        for place, (_, probability) in enumerate(words):
            axes.barh(place, 100 * probability, color=BLUE, height=0.62)
            text = f"{100 * probability:.1f}"
            axes.text(100 * (probability + 0.02 * most), place, text, va="center", color=MUTED)
        _labelled(axes, [word for word, _ in words])
        axes.margins(x=0.14)
        axes.set_xlabel("% of the topic's words")
        listed = ", ".join(f"{word} {percent(probability)}" for word, probability in words)
        svg = to_svg(drawn, identifier, f"Words of topic {number}: {listed}.")
    return Picture(
        svg=svg,
        caption=f"Topic {number}: {percent(share)} of all words, coherence {coherence:.2f}.",
    )


def _labelled(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), [shortened(name, _LETTERS) for name in names])
    axes.set_ylim(len(names) - 0.4, -0.6)
    tidy(axes, "x")
