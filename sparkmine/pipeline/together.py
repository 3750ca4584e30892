"""Whether stages that read each other's tables go together: their kinds and tasks.

A regression's metrics of the probabilities of a class, or the champion of a table of scores, would
else end as figures without meaning or as an error that names no key.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sparkmine.pipeline.yaml_file import Document, Place
from sparkmine.stages import Stage

# What writes the table that a key names, where only one kind of stage does.
_WRITERS = {"evaluation": "evaluate", "champion": "champion"}
# Keys whose tables hold what a model has said, or which model is in use.
_SCORES = ("models", "baselines", "members", "model", *_WRITERS)


def check_together(document: Document, stages: Sequence[Stage]) -> None:
    """Raise ConfigError, with the key, where a table is not what the stage that reads it takes."""
    writers = {stage.writes: stage for stage in stages}
    for index, stage in enumerate(stages):
        for key, table in stage.reads.items():
            place: Place = ("stages", index, *key.split("."))
            wanted, writer = _WRITERS.get(key), writers[table]
            if wanted is not None and writer.kind != wanted:
                raise document.error(
                    place,
                    f"{table} is written by stage {writer.name}, of kind {writer.kind}; name the "
                    f"table of a stage of kind {wanted}",
                )
            task, other = getattr(stage, "task", None), _task(writer, writers)
            if key.split(".")[0] in _SCORES and task and other and task != other:
                raise document.error(
                    place,
                    f"the task of stage {stage.name} is {task}, but {table} is written by stage "
                    f"{writer.name}, for task {other}; give both the same `task:`",
                )


def _task(stage: Stage, writers: Mapping[str, Stage]) -> Any:
    """The task of the model that a stage has fitted, measured or put into use; None without one."""
    below = stage.reads.get("evaluation")
    if stage.kind == "champion" and below is not None and below in writers:
        return _task(writers[below], writers)
    return getattr(stage, "task", None)
