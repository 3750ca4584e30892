"""What all pages share: the templates' environment, and writing one file whole."""

from __future__ import annotations

import logging
import os
import re
import uuid
from pathlib import Path
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from sparkmine.evaluate.metrics import percent
from sparkmine.evaluate.tasks import metric_label

if TYPE_CHECKING:
    from jinja2 import Environment

logger = logging.getLogger(__name__)

MAX_BYTES = 5_000_000
NOTHING = "\u2013"  # where a number does not apply


def environment() -> Environment:
    """Templates by folder and file below `evaluate`, with the filters that all of them use."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    found = Environment(
        loader=PackageLoader("sparkmine.evaluate", "."),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    found.filters.update(
        count=count,
        percent=percent_or_nothing,
        breakable=breakable,
        decimal=decimal,
        signed=signed,
        seconds=seconds,
        metric=metric_label,
    )
    return found


def write_page(text: str, target: Path) -> Path:
    """Write one HTML file; its folder is made. A file is replaced whole or not at all."""
    if len(text.encode()) > MAX_BYTES:
        logger.warning("page %s has %.1f MB", target, len(text.encode()) / 1e6)
    target.parent.mkdir(parents=True, exist_ok=True)
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return target


def breakable(name: str) -> Markup:
    """The name, escaped, with places where a narrow column may break it."""
    return Markup(re.sub("([_/.])", r"\1<wbr>", str(escape(name))))


def count(value: int | None) -> str:
    """1,234; a dash for None."""
    return NOTHING if value is None else f"{value:,}"


def percent_or_nothing(value: float | None, digits: int = 1) -> str:
    return NOTHING if value is None else percent(value, digits)


def decimal(value: float | None, digits: int = 3) -> str:
    """1.234; a dash for None."""
    return NOTHING if value is None else f"{value:.{digits}f}"


def signed(value: float | None, digits: int = 3) -> str:
    """+1.234; a dash for None."""
    return NOTHING if value is None else f"{value:+.{digits}f}"


def seconds(value: float | None) -> str:
    """12.3 s, 1 min 15 s; a dash for None."""
    if value is None:
        return NOTHING
    if value < 60:
        return f"{value:.1f} s"
    minutes, rest = divmod(round(value), 60)
    return f"{minutes} min {rest:02d} s"
