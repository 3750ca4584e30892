"""What a report shows of texts: keywords of groups, and topics."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, kw_only=True)
class Keyword:
    """A term of a group of texts: in how many of them, in which shares of them and of all others.

    `score` is the log-likelihood ratio G².
    """

    term: str
    count: int
    inside: float
    outside: float
    score: float
    example: str | None = None


@dataclass(frozen=True, kw_only=True)
class GroupKeywords:
    """A group of texts and its keywords, the highest score first."""

    group: str
    texts: int
    keywords: tuple[Keyword, ...]


@dataclass(frozen=True, kw_only=True)
class KeywordTable:
    """Keywords by group, the largest groups first; `groups` is the number of all."""

    table: str
    text: str
    by: str
    texts: int
    groups: int
    largest: tuple[GroupKeywords, ...]

    @classmethod
    def of(cls, table: str, figures: Mapping[str, Any]) -> Self:
        """From the metrics of a stage."""
        largest = tuple(
            GroupKeywords(
                group=one["group"],
                texts=one["texts"],
                keywords=tuple(
                    Keyword(
                        term=word["term"],
                        count=word["count"],
                        inside=word["share_inside"],
                        outside=word["share_outside"],
                        score=word["score"],
                        example=word["example"],
                    )
                    for word in one["keywords"]
                ),
            )
            for one in figures["largest"]
        )
        return cls(
            table=table,
            text=figures["text"],
            by=figures["group"],
            texts=figures["texts"],
            groups=figures["groups"],
            largest=largest,
        )


@dataclass(frozen=True, kw_only=True)
class Topic:
    """A topic: its share of all words, its coherence, (word, probability), texts that have it."""

    share: float
    coherence: float
    words: tuple[tuple[str, float], ...]
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class TopicTable:
    """Topics of texts, the largest first.

    `choice` has (k, coherence, perplexity) of each k that was tried, `chosen` is the one taken.
    """

    table: str
    text: str
    rows: int
    terms: int
    coherence: float
    topics: tuple[Topic, ...]
    perplexity: float | None = None
    choice: tuple[tuple[int, float, float | None], ...] = ()
    chosen: int | None = None

    @classmethod
    def of(cls, table: str, figures: Mapping[str, Any]) -> Self:
        """From the metrics of a stage."""
        choice = figures.get("choice", {})
        return cls(
            table=table,
            text=figures["text"],
            rows=figures["rows"],
            terms=figures["terms"],
            coherence=figures["coherence"],
            perplexity=figures["perplexity"],
            topics=tuple(
                Topic(
                    share=one["share"],
                    coherence=one["coherence"],
                    words=tuple((word, share) for word, share in one["words"]),
                    examples=tuple(one.get("examples", ())),
                )
                for one in figures["topics"]
            ),
            choice=tuple(
                (tried["k"], tried["coherence"], tried["perplexity"])
                for tried in choice.get("tried", [])
            ),
            chosen=choice.get("suggested"),
        )
