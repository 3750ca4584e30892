"""topics: what texts are about, by latent Dirichlet allocation."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field, model_validator

from sparkmine.evaluate.report.pictures import shortened
from sparkmine.stages.base import Context, Names, Result
from sparkmine.stages.needs import Need, named
from sparkmine.stages.texts import SHOWN, TextStage


class Topics(TextStage):
    """Find topics in the texts where `where` is true; write keys, topic and topics of all rows.

    See `sparkmine.mine.Topics` for what is not said here.

    Attributes:
        keys: Columns that name a row; kept beside the topics.
        k, ks: How many topics, or the numbers from which one is chosen.
        examples: Texts of each topic in the report.
    """

    kind: ClassVar[str] = "topics"
    stage: Literal["topics"]
    keys: Names
    k: int | None = Field(default=None, ge=2)
    ks: list[int] | None = Field(default=None, min_length=2)
    top_k: int = Field(default=5_000, ge=2)
    min_documents: int = Field(default=5, ge=1)
    max_document_share: float = Field(default=0.5, gt=0.0, le=1.0, strict=False)
    iterations: int = Field(default=50, ge=1)
    batch_share: float = Field(default=0.1, gt=0.0, le=1.0, strict=False)
    held_out: float = Field(default=0.1, ge=0.0, lt=1.0, strict=False)
    examples: int = Field(default=3, ge=0)
    seed: int | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _one_of_both(self) -> Topics:
        if (self.k is None) == (self.ks is None):
            raise ValueError("give k, or ks to choose from")
        return self

    @property
    def needs(self) -> Iterable[Need]:
        yield from super().needs
        yield named("keys", self.input, *self.keys)

    def check(self, base: Path) -> None:
        _ = self.tokens

    def run(self, context: Context) -> Result:
        from sparkmine import mine

        snapshot = context.inputs[self.input]
        rows = context.rows(self.input, self.where)
        how = mine.Topics(
            tokens=self.tokens,
            top_k=self.top_k,
            min_documents=self.min_documents,
            max_document_share=self.max_document_share,
            iterations=self.iterations,
            batch_share=self.batch_share,
            held_out=self.held_out,
            seed=context.seed if self.seed is None else self.seed,
            **({} if self.k is None else {"k": self.k}),
        )
        figures: dict[str, Any] = {}
        if self.ks is None:
            model = how.fit(rows, self.text, context.spark)
        else:
            chosen = mine.choose_topics(rows, self.text, self.ks, how, context.spark)
            model, figures["choice"] = chosen.model, chosen.describe()
        model.save(context.artifact())
        figures |= {"text": self.text, **model.describe()}
        if self.examples:
            texts = model.examples(rows.dataframe(context.spark), self.examples)
            for topic, found in zip(figures["topics"], texts, strict=True):
                topic["examples"] = [shortened(one, SHOWN) for one in found]
        frame = model.score(snapshot, self.keys, context.spark)
        return Result(
            frame=frame, rows_in=snapshot.rows, metrics={"topics": figures}, artifact=True
        )
