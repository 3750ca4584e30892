"""A network in a `.keras` file: read, and run over rows, in a worker, a rank or the driver.

A class of the user's own comes back only where its module is imported before the file is read.
Which modules these are was written down when the network was trained; no other one is imported,
and no code is taken from the file.
"""

from __future__ import annotations

import contextlib
import importlib
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sparkmine.errors import ModelError
from sparkmine.python_model import spare_imports
from sparkmine.train import folders
from sparkmine.train.dense import DenseChain

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Forward = Callable[[NDArray[np.float32]], NDArray[np.float32]]

NETWORK = "model.keras"

# Rows that go through a network at once, at most.
_ROWS = 1024
# The same where a layer does not say how much it leaves.
_UNKNOWN_ROWS = 128
# What a layer leaves should still be in a core's cache when the next one reads it: 128 pictures of
# 28 x 28 at once go through 32 filters a fifth quicker than 1,024.
_CACHE_BYTES = 1 << 24
# One network per Python worker, however many tasks and batches it serves; and its rows at once.
_loaded: dict[str, tuple[Any, int]] = {}


@dataclass(frozen=True, kw_only=True)
class Files:
    """A network as it travels to the workers.

    Attributes:
        keras: In Keras's format.
        dense: The same as a `DenseChain`, where it is one; then TensorFlow is not needed.
        custom: As `read` takes it.
        digest: Of `keras`.
        width: Columns of the matrix that it takes.
    """

    keras: bytes
    dense: bytes | None
    custom: Mapping[str, str]
    digest: str
    width: int

    def forward(self, *, threads: int | None) -> Forward:
        """Return the network as a function of a matrix, loaded at most once in this process.

        Args:
            threads: Cores of a Spark task; None where this process is the driver.
        """
        if self.dense is not None:
            return DenseChain.from_bytes(self.dense)
        if self.digest not in _loaded:
            _prepare(threads)
            compiled = self._compiled() if threads is None else self._compiled_by_worker()
            _loaded.clear()  # a worker that is reused for another model need not keep this one
            _loaded[self.digest] = compiled
        call, rows = _loaded[self.digest]

        def run(features: NDArray[np.float32]) -> NDArray[np.float32]:
            starts = range(0, max(len(features), 1), rows)
            return np.concatenate([call(features[at : at + rows]).numpy() for at in starts])

        return run

    def _compiled(self) -> tuple[Any, int]:
        import tensorflow as tf

        model = read(self.keras, self.custom)

        def call(features: Any) -> Any:
            return model(features, training=False)

        signature = [tf.TensorSpec([None, self.width], tf.float32)]
        function = tf.function(call, input_signature=signature)
        function.get_concrete_function()
        return function, rows_at_once(model)

    def _compiled_by_worker(self) -> tuple[Any, int]:
        """The same without a trace on the disk.

        AutoGraph deletes the source that it writes when the process exits, which Spark's Python
        workers do not: they are ended. It is not read again.
        """
        with folders.of_worker("network") as folder, folders.temporary_files(folder):
            return self._compiled()


def _prepare(threads: int | None) -> None:
    """Import TensorFlow as this process shall use it."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    os.environ.setdefault("KERAS_BACKEND", "tensorflow")
    if gpus := _gpus_of_task():
        # A process keeps what it saw first, also when it works for later tasks.
        os.environ["CUDA_VISIBLE_DEVICES"] = ",".join(gpus)
    import keras  # noqa: F401
    import tensorflow as tf

    if threads is not None and not _loaded:
        spare_imports()
        # Each task has its cores; a pool as wide as the machine in every worker would fight.
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    with contextlib.suppress(RuntimeError):  # too late: somebody else computes by it already
        for gpu in tf.config.list_physical_devices("GPU"):
            # The first worker would take the whole card, and a second one find no room.
            tf.config.experimental.set_memory_growth(gpu, True)


def _gpus_of_task() -> list[str]:
    """The GPU addresses that Spark gave the task which this process works for."""
    from pyspark import TaskContext

    task = TaskContext.get()
    given = None if task is None else task.resources().get("gpu")
    return [] if given is None else list(given.addresses)


def rows_at_once(model: Any, most: int = _ROWS) -> int:
    """How many rows go through `model` together: a power of two, by its largest layer's output.

    Args:
        most: For layers as narrow as may be.
    """
    import keras

    # Of a class of its own, a network's layers or what is inside of one have no output to look at.
    outputs = [
        getattr(layer, "output", None) for layer in model._flatten_layers(include_self=False)
    ]
    found = [output.shape[1:] for output in keras.tree.flatten(outputs) if output is not None]
    widest = max((math.prod(size or 1 for size in shape) for shape in found), default=1)
    fitting = max(_CACHE_BYTES // (4 * widest), 16)
    if any(getattr(layer, "output", None) is None for layer in model.layers):
        fitting = min(fitting, _UNKNOWN_ROWS)
    return int(min(1 << (fitting.bit_length() - 1), most))


def read(keras_file: bytes, custom: Mapping[str, str]) -> Any:
    """Return the network of a file.

    Args:
        custom: The names under which classes of the user's own are registered with Keras, and the
            modules that do so, which are imported.

    Raises:
        ModelError: one cannot be imported, or does not register its class.
    """
    import keras

    for name, module in custom.items():
        _import(name, module)
    with tempfile.TemporaryDirectory(prefix="sparkmine-model-") as folder:
        path = Path(folder) / NETWORK
        path.write_bytes(keras_file)
        # safe_mode refuses Lambda layers, whose code would be unpickled.
        return keras.saving.load_model(path, compile=False, safe_mode=True)


def _import(name: str, module: str) -> None:
    import keras

    try:
        importlib.import_module(module)
    except Exception as error:  # whatever the module's own code raises
        raise ModelError(
            f"the model's {name} needs module {module}, which cannot be imported here "
            f"({type(error).__name__}: {error}); put it on the path of the driver and of every "
            "executor (--py-files, or spark.sparkContext.addPyFile)"
        ) from None
    found = keras.saving.get_registered_object(name)
    if found is None or found.__module__ != module:
        there = "not at all" if found is None else f"by module {found.__module__}"
        raise ModelError(
            f"the model's {name} shall be registered by module {module}, but here it is "
            f"{there}; is this another version of the module?"
        )
