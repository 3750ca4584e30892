"""Where the model is that a champion's table, or an evaluation, has chosen."""

from __future__ import annotations

from pathlib import Path

from sparkmine.errors import DataError
from sparkmine.stages.base import Context


def chosen_model(context: Context, table: str) -> tuple[str, Path]:
    """The name of the model in use, and its folder.

    Raises:
        DataError: there is none yet.
    """
    metrics = (context.commits[table].metadata or {})["metrics"]
    if metrics["champion"] is None:
        raise DataError(f"stage {context.stage}: {table} has no model yet: {metrics['evaluation']}")
    return metrics["best"], Path(context.lake.root) / metrics["champion"]
