"""What stages share that read a column of texts."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Literal

from pydantic import Field

from sparkmine.errors import ConfigError
from sparkmine.stages.base import Condition, Stage, TableName
from sparkmine.stages.needs import Need, asked, named
from sparkmine.stats.stop_words import stop_words
from sparkmine.stats.tokens import Tokens

# Letters of an example in the report.
SHOWN = 160


class TextStage(Stage):
    """Reads the column `text` of `input`; what its terms are says `stats.tokens.Tokens`.

    Attributes:
        stop_words: A language whose list Spark ML ships, such as `english`, or a list of words.
        where: Rows to learn from; all if left out.
    """

    input: TableName
    table: TableName
    text: str
    where: Condition | None = None
    unit: Literal["word", "character"] = "word"
    ngrams: list[int] = Field(default=[1, 1], min_length=2, max_length=2)
    lower: bool = True
    stop_words: str | list[str] | None = None
    min_length: int = Field(default=1, ge=1)

    @property
    def writes(self) -> str:
        return self.table

    @property
    def reads(self) -> dict[str, str]:
        return {"input": self.input}

    @property
    def needs(self) -> Iterable[Need]:
        yield named("text", self.input, self.text)
        yield asked("where", self.input, self.where)

    @property
    def tokens(self) -> Tokens:
        """How the texts become terms.

        Raises:
            ConfigError: wrong settings, with the stage.
        """
        low, high = self.ngrams
        try:
            return Tokens(
                unit=self.unit,
                ngrams=(low, high),
                lower=self.lower,
                stop_words=stop_words(self.stop_words),
                min_length=self.min_length,
            )
        except ConfigError as error:
            raise ConfigError(f"stage {self.name}: {error.text}") from None
