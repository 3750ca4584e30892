"""A rank: the fresh process that a Spark task starts and that trains.

Fresh, because TensorFlow cannot be initialised twice and Spark reuses its Python workers. It
takes its job from a file that its task wrote, its place among the ranks as one JSON line on
standard input, and reports by the control pipe.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import logging
import os
import signal
import sys
import traceback
from pathlib import Path
from typing import Any

from sparkmine.errors import SparkmineError
from sparkmine.train import priority
from sparkmine.train.control import Control

PARENT = "SPARKMINE_PARENT"
CONTROL = "SPARKMINE_CONTROL"
FOLDER = "SPARKMINE_FOLDER"
STALL = "SPARKMINE_STALL_SECONDS"

_PR_SET_PDEATHSIG = 1


def main() -> int:
    """Train, and return the exit status."""
    _die_with_parent(int(os.environ[PARENT]))
    control = Control(int(os.environ[CONTROL]))
    control.start_beating()
    control.send("started", pid=os.getpid())
    logging.basicConfig(level=logging.INFO, format="%(name)s: %(message)s")
    try:
        _work(Path(os.environ[FOLDER]), control)
    except BaseException as error:
        traceback.print_exc()
        sys.stderr.flush()
        control.send("failed", **_described(error))
        # No hvd.shutdown, no finalizers: they wait for ranks that will not come.
        os._exit(1)
    control.send("done")
    return 0


def _work(folder: Path, control: Control) -> None:
    # Imported while the other ranks still find each other; most of the start-up is here.
    import pyarrow as pa
    import tensorflow as tf

    threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
    pa.set_cpu_count(threads)
    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(2)
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    control.send("imported")

    place = sys.stdin.readline()
    if not place:
        raise SystemExit("the Spark task ended before the ranks were placed")
    os.environ.update(json.loads(place))
    import horovod.tensorflow as hvd
    from pyspark import cloudpickle

    before = priority.threads()
    hvd.init()
    priority.wait_politely(priority.threads() - before)
    # Which of the two reduces on GPUs was decided when Horovod was built.
    reduced_by = "nccl" if tf.config.list_physical_devices("GPU") and hvd.nccl_built() else "gloo"
    control.send("ready", rank=hvd.rank(), ranks=hvd.size(), reduced_by=reduced_by)
    control.expect_progress(float(os.environ[STALL]))
    # Written by our own task on this machine, in a folder only we can read.
    job = cloudpickle.loads((folder / "job").read_bytes())

    from sparkmine.train.training import train

    with contextlib.redirect_stdout(sys.stderr):
        result = train(job, control, folder)
    (folder / "result.json").write_text(json.dumps(result))
    hvd.shutdown()


def _die_with_parent(parent: int) -> None:
    """Ask the kernel to kill this process when its Spark task ends, however it ends."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it ended before the request was in place
        os._exit(1)


def _described(error: BaseException) -> dict[str, Any]:
    """Return what the driver needs to tell causes from consequences."""
    text = _first_line(str(error))
    # When a rank dies, the others fail in their next reduction: that is not the news.
    collateral = "Horovod" in type(error).__name__ or "Horovod" in str(error)
    known = error if isinstance(error, SparkmineError) else None
    return {
        "reason": f"{type(error).__name__}: {text}"[:1000],
        "code": None if known is None else known.code,
        "message": None if known is None else str(known.args[0]),
        "collateral": collateral,
    }


def _first_line(text: str) -> str:
    """Return the line that says what happened: TensorFlow puts headings and a stack before it."""
    lines = [line for line in text.splitlines() if line.strip()]
    said = (line for line in lines if not line.startswith(_HEADINGS))
    return next(said, lines[0] if lines else "").strip()


_HEADINGS = ("Graph execution error:", "Detected at node ", "Stack trace for op ", "<stack", "  ")


if __name__ == "__main__":
    sys.exit(main())
