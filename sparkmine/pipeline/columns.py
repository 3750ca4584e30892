"""The columns that a stage's block names, looked for before the stage works.

A key that is misspelt would else be found when the model is fitted, after hours.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping

from sparkmine.errors import ConfigError
from sparkmine.lake import Snapshot
from sparkmine.stages import Stage


def check_columns(stage: Stage, inputs: Mapping[str, Snapshot]) -> None:
    """Raise ConfigError for the first column that is missing, with the key that names it."""
    for need in stage.needs:
        present = inputs[need.table].schema.names
        for name in sorted(set(need.columns) - set(present)):
            close = difflib.get_close_matches(name, present, n=1)
            raise ConfigError(
                f"stage {stage.name}: {need.key}: {need.table} has no column {name!r}; "
                + (f"did you mean {close[0]!r}? It has {present}" if close else f"it has {present}")
            )
