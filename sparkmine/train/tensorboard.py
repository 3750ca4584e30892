"""The events of a fit as files that TensorBoard reads, written where the driver runs.

The ranks report their losses, figures and pictures to the driver anyway, so no file system needs to
be shared, and the files look alike for any number of ranks. The names of runs and curves are those
of Keras's own callback, so that training and validation share a chart.
"""

from __future__ import annotations

import base64
import itertools
import os
import socket
import struct
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sparkmine.train.channel import Event
from sparkmine.train.folders import writing

if TYPE_CHECKING:
    from tensorboard.summary.writer.record_writer import RecordWriter

_numbers = itertools.count()


class EventFiles:
    """Takes the events of a fit; `train/` and `validation/` in `folder` get a file each.

    Raises:
        ConfigError: the driver cannot write there.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._writers: dict[str, RecordWriter] = {}
        with writing("tensorboard", folder):
            self._writer("train")

    def __call__(self, event: Event) -> None:
        """Write what belongs into a chart."""
        if event["event"] == "step":
            step = (event["epoch"] - 1) * event["steps"] + event["step"]
            self._write("train", step, {"step_loss": event["loss"]})
        elif event["event"] == "epoch":
            self._epoch(event)
        elif event["event"] == "samples":
            self._picture(event["epoch"], base64.b64decode(event["png"]))

    def close(self) -> None:
        """End the files."""
        for writer in self._writers.values():
            writer.close()
        self._writers.clear()

    def _epoch(self, event: Event) -> None:
        training: dict[str, Any] = {}
        validation: dict[str, Any] = {}
        for name, value in event.items():
            if name.startswith("val_"):
                validation[f"epoch_{name.removeprefix('val_')}"] = value
            elif isinstance(value, float) and name != "seconds":
                training[f"epoch_{name}"] = value
        self._write("train", event["epoch"], training)
        self._write("validation", event["epoch"], validation)

    def _write(self, run: str, step: int, values: dict[str, Any]) -> None:
        from tensorboard.compat.proto import summary_pb2

        known = {tag: value for tag, value in values.items() if value is not None}
        if known:
            of = summary_pb2.Summary.Value
            found = [of(tag=tag, simple_value=value) for tag, value in known.items()]
            self._append(run, step, summary_pb2.Summary(value=found))

    def _picture(self, step: int, png: bytes) -> None:
        from tensorboard.compat.proto import summary_pb2

        # A PNG file's header: 16 bytes, then width and height.
        width, height = struct.unpack(">II", png[16:24])
        image = summary_pb2.Summary.Image(
            width=width, height=height, colorspace=3, encoded_image_string=png
        )
        value = summary_pb2.Summary.Value(tag="samples", image=image)
        self._append("train", step, summary_pb2.Summary(value=[value]))

    def _append(self, run: str, step: int, summary: Any) -> None:
        from tensorboard.compat.proto import event_pb2

        event = event_pb2.Event(wall_time=time.time(), step=step, summary=summary)
        writer = self._writer(run)
        writer.write(event.SerializeToString())
        writer.flush()

    def _writer(self, run: str) -> RecordWriter:
        # TensorBoard's own classes, but not its EventFileWriter, which imports TensorFlow.
        from tensorboard.compat.proto import event_pb2
        from tensorboard.summary.writer.record_writer import RecordWriter

        if run not in self._writers:
            folder = self._folder / run
            folder.mkdir(parents=True, exist_ok=True)
            now = time.time()
            name = f"events.out.tfevents.{int(now):010d}.{socket.gethostname()}"
            file = folder / f"{name}.{os.getpid()}.{next(_numbers)}"
            writer = RecordWriter(file.open("wb"))
            first = event_pb2.Event(wall_time=now, file_version="brain.Event:2")
            writer.write(first.SerializeToString())
            writer.flush()
            self._writers[run] = writer
        return self._writers[run]
