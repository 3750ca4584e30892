"""Frozen dataclasses that are plain data: to JSON values and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

from sparkmine.errors import DataError


class PlainData:
    """Gives a dataclass of numbers, strings, tuples, dicts and other such dataclasses its JSON."""

    def to_json(self) -> dict[str, Any]:
        """As dicts, lists, numbers, strings and None only."""
        from pydantic import TypeAdapter

        data: dict[str, Any] = TypeAdapter(type(self)).dump_python(self, mode="json")
        return data

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of `to_json`.

        Raises:
            DataError: the data is not what `to_json` writes.
        """
        from pydantic import TypeAdapter, ValidationError

        try:
            return TypeAdapter(cls).validate_python(data)
        except ValidationError as error:
            raise DataError(f"this is no saved {cls.__name__}: {error}") from None
