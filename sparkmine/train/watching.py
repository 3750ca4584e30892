"""Who hears the events of a fit on the driver: the log, the caller, TensorBoard, the pictures."""

from __future__ import annotations

import base64
import contextlib
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from sparkmine.train.channel import Event
from sparkmine.train.folders import writing
from sparkmine.train.tensorboard import EventFiles

log = logging.getLogger(__name__)

Watcher = Callable[[Event], None]


@contextlib.contextmanager
def watchers(
    progress: Watcher | None, *, tensorboard: str | Path | None, samples: str | Path | None
) -> Iterator[Watcher]:
    """Give a function that hands every event to all who want it.

    Raises:
        ConfigError: a folder cannot be written.
    """
    with contextlib.ExitStack() as stack:
        wanted: list[Watcher] = [_logged]
        if tensorboard is not None:
            files = EventFiles(Path(tensorboard))
            stack.callback(files.close)
            wanted.append(files)
        if samples is not None:
            wanted.append(Pictures(Path(samples)))
        if progress is not None:
            wanted.append(progress)

        def hand_on(event: Event) -> None:
            for watcher in wanted:
                watcher(event)

        yield hand_on


def _logged(event: Event) -> None:
    """What rank 0 says of checkpoints counts for the whole fit, and is heard in no other way."""
    if event["event"] == "checkpoint":
        log.log(logging.WARNING if event["warning"] else logging.INFO, "%s", event["text"])


class Pictures:
    """Writes a GAN's pictures as `epoch-00001.png`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        with writing("samples", folder):
            folder.mkdir(parents=True, exist_ok=True)

    def __call__(self, event: Event) -> None:
        if event["event"] == "samples":
            file = self._folder / f"epoch-{event['epoch']:05d}.png"
            file.write_bytes(base64.b64decode(event["png"]))
