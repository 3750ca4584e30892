"""The training loop of one rank. Runs in the rank's process only."""

from __future__ import annotations

import base64
import json
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import horovod.tensorflow as hvd
import keras
import numpy as np
import tensorflow as tf

from sparkmine.errors import ConfigError
from sparkmine.train import checkpoint, loadable, optimizer, outputs, state
from sparkmine.train.adversarial import Adversarial
from sparkmine.train.control import Control
from sparkmine.train.dense import DenseChain
from sparkmine.train.examples import Examples
from sparkmine.train.job import Job
from sparkmine.train.loader import Blocks, Loader
from sparkmine.train.order import Rest
from sparkmine.train.own_metrics import OwnMetrics
from sparkmine.train.validation import Validation
from sparkmine.train.weighting import RowWeights

LOSSES = {
    "binary": "binary_crossentropy",
    "multiclass": "sparse_categorical_crossentropy",
    "multilabel": "binary_crossentropy",
    "regression": "mean_squared_error",
    "reconstruction": "mean_squared_error",
}
_STEP_REPORT_SECONDS = 0.5


def train(job: Job, control: Control, folder: Path) -> dict[str, Any]:
    """Train `job` together with the other ranks; rank 0 leaves the model in `folder`.

    Returns:
        `history`, `epoch` (whose weights the model has), `weights_hash`, `task`, `classes` and
        `custom`, the user's own classes in the model and their modules.
    """
    keras.utils.set_random_seed(derived_seed(job.seed, 0))
    model = job.network.build(job.layout)
    called = job.network_identity.get("function")  # None of our own networks
    units = outputs.units(model, job.layout.width, called)
    custom = {} if called is None else loadable.check(model)
    control.advance()
    task, classes = _task(job, model, units)
    _compile(job, model, task)
    targets = job.layout.width if task == "reconstruction" else len(job.layout.labels)
    own = OwnMetrics(model, targets, units)
    if job.early_stopping is not None:
        validated = own.of_validation if job.validation is not None else []
        job.early_stopping.check(
            [*job.figures(task, own.names), *(f"val_{name}" for name in validated)]
        )
    blocks = Blocks(job.train, job.layout, classes=classes, cache_bytes=job.cache_bytes)
    weights = RowWeights(job.layout, job.class_weight, classes)
    loader = Loader(blocks, job.order, rank=hvd.rank(), batch_size=job.batch_size)
    reached = _resume(job, model, control)
    validation = None
    if job.validation is not None:
        validation = Validation(job, model, task, classes, own, units, control.advance)
    epoch_end = EpochEnd(job, model, control, validation, own, reached)
    examples = Examples(job, loader, weights, task, control.advance)
    control.advance()
    for first, last, rest in _spans(job, len(reached.history), reached.begun):
        if epoch_end.over:
            break
        if not loader.steps(rest):  # fewer rows were left than there are ranks now
            epoch_end.on_epoch_begin(first)
            epoch_end.on_epoch_end(first)
            continue
        with examples.raising():
            model.fit(
                examples.dataset(first, last, rest),
                epochs=last,
                initial_epoch=first,
                steps_per_epoch=loader.steps(rest),
                callbacks=[epoch_end],
                shuffle=False,  # the order is the loader's
                verbose=0,
            )
    epoch = epoch_end.restore_best()
    digest = state.hash_of(state.arrays(model))
    state.check_equal(digest)
    if hvd.rank() == 0:
        _save(model, folder)
    return {
        "history": epoch_end.history,
        "epoch": epoch,
        "weights_hash": digest.hex(),
        "task": task,
        "classes": classes,
        "custom": custom,
    }


class EpochEnd(keras.callbacks.Callback):
    """What happens around steps and epochs, in the same order on every rank.

    Before an epoch: the random states. Before a step: the learning rate, if it moves. After some
    steps, if so asked: a checkpoint. After an epoch: the batch-normalisation statistics become
    their mean over the ranks, validation, the check that all ranks hold the same weights, whether
    to stop, the checkpoint, the report.
    """

    def __init__(
        self,
        job: Job,
        model: Any,
        control: Control,
        validation: Validation | None,
        own: OwnMetrics,
        reached: Reached,
    ) -> None:
        super().__init__()
        self.history = reached.history
        self._best = reached.best
        self._job = job
        self._network = model
        self._control = control
        self._validation = validation
        self._own = own
        self._order = job.order
        self._begun = reached.begun
        self._batch = 0
        self._started = self._reported = 0.0
        self._epoch = len(reached.history)
        self._optimizers = [one for one, _ in state.optimizers(model)]

    @property
    def over(self) -> bool:
        """Whether the fit ends before its last epoch."""
        stopping = self._job.early_stopping
        return stopping is not None and stopping.over(self.history)

    @property
    def _ends_early(self) -> bool:
        return self.over and len(self.history) < self._job.epochs

    def restore_best(self) -> int:
        """Give the model the best epoch's weights, if so asked; return whose weights it has."""
        stopping = self._job.early_stopping
        best = 0 if stopping is None else stopping.best(self.history)
        if self._best is None or best in (0, len(self.history)):
            return len(self.history)
        for variable, array in zip(state.weights(self._network), self._best, strict=True):
            variable.assign(array)
        return best

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        if epoch != self._epoch:
            self._begun = None
        self._epoch = epoch
        self._batch = 0
        self._started = time.monotonic()
        self._control.advance()
        state.reseed(self._network, self._job.seed, hvd.rank(), epoch, self._begun)

    def on_train_batch_begin(self, batch: int, logs: Any = None) -> None:
        rate = self._job.learning_rate
        if rate is not None and rate.moves:
            done = 1.0 - (self._share - self._rows) / self._whole
            at = rate.at(self._epoch + done, epochs=self._job.epochs, ranks=self._job.ranks)
            for one in self._optimizers:
                one.learning_rate = at

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        self._batch = batch + 1
        self._control.advance()
        steps, every = self._steps_before + self._batch, self._job.checkpoint_steps
        if every and steps % every == 0 and self._rows < self._share:
            self._checkpoint_within(steps, logs)
        self._report(steps, logs)

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        losses, _ = self._losses(logs)
        trained = time.monotonic() - self._started
        state.average_moving_statistics(self._network)
        sums = self._own.sums(() if self._begun is None else self._begun.metrics)
        figures = self._own.figures(sums, whole=self._begun is None)
        record: dict[str, Any] = {"epoch": epoch + 1, **losses, **figures}
        self._own.reset()
        if self._validation is not None:
            validated = self._validation.run()
            record.update({f"val_{name}": _number(value) for name, value in validated.items()})
        reached = state.arrays(self._network)
        state.check_equal(state.hash_of(reached))
        record["learning_rate"] = self._learning_rate
        record["seconds"] = time.monotonic() - self._started
        record["rows_per_second"] = self._rows * self._job.ranks / trained
        self.history.append(record)
        self._keep_best(reached)
        self._control.advance()
        self._save(reached, None)
        self._control.advance()
        self._network.stop_training = self.over
        if hvd.rank() == 0:
            self._control.send("epoch", epochs=self._job.epochs, over=self._ends_early, **record)
            self._send_picture()

    @property
    def _rest(self) -> Rest:
        """What was there to read when this process began the epoch."""
        return self._begun.rest if self._begun is not None else self._order.whole

    @property
    def _share(self) -> int:
        """Rows of it that each rank reads."""
        return self._rest.rows // self._job.ranks

    @property
    def _steps_before(self) -> int:
        return self._begun.steps if self._begun is not None else 0

    @property
    def _whole(self) -> int:
        return max(self._order.rows_per_rank, 1)

    @property
    def _rows(self) -> int:
        """Rows that this process has read of the epoch."""
        return min(self._batch * self._job.batch_size, self._share)

    @property
    def _learning_rate(self) -> float:
        return float(self._network.optimizer.learning_rate)

    def _losses(self, logs: Any) -> tuple[dict[str, float], int]:
        """The mean losses of the epoch so far, and the rows that all ranks have read of it."""
        # Metrics of a user's compiled model are added up by themselves.
        names = [name for name in logs or {} if name.endswith("loss")] or ["loss"]
        values = np.array([float((logs or {}).get(name, 0.0)) for name in names])
        rows = self._rows * self._job.ranks
        losses = dict(zip(names, _averaged(values).tolist(), strict=True))
        if self._begun is not None:  # maybe by another number of ranks
            losses = self._begun.and_then(losses, rows)
            rows += self._begun.rows
        if not all(math.isfinite(value) for value in losses.values()):
            raise FloatingPointError(
                f"the loss is {losses['loss']} in epoch {self._epoch + 1}: lower the learning "
                "rate, or scale the features"
            )
        return losses, rows

    def _keep_best(self, reached: state.Arrays) -> None:
        stopping = self._job.early_stopping
        if stopping is None or not stopping.restore_best:
            return
        if stopping.best(self.history) == len(self.history):
            self._best = reached[: len(state.weights(self._network))]

    def _send_picture(self) -> None:
        if not isinstance(self._network, Adversarial):
            return
        png = self._network.picture(self._job.seed)
        if png is not None:
            text = base64.b64encode(png).decode()
            self._control.send("samples", epoch=self._epoch + 1, png=text)

    def _checkpoint_within(self, steps: int, logs: Any) -> None:
        losses, rows = self._losses(logs)
        state.average_moving_statistics(self._network)
        rest = self._order.after(self._rest, self._rows)
        draws = tuple(int(v.numpy()[1]) for v in state.random_states(self._network))
        sums = self._own.sums(() if self._begun is None else self._begun.metrics)
        begun = checkpoint.Begun(
            steps=steps,
            rest=rest,
            losses=losses,
            rows=rows,
            draws=draws,
            metrics=tuple(array.tolist() for array in sums),
            order_digest=self._job.train.order_digest,
        )
        self._save(state.arrays(self._network), begun)

    def _save(self, reached: state.Arrays, begun: checkpoint.Begun | None) -> None:
        if self._job.checkpoint is None or hvd.rank() != 0:
            return
        saved = checkpoint.Checkpoint(
            identity=self._job.identity(),
            epoch=len(self.history),
            arrays=reached,
            history=self.history,
            begun=begun,
            best=self._best,
        )
        checkpoint.save(Path(self._job.checkpoint), saved, self._job.checkpoint_keep)

    def _report(self, step: int, logs: Any) -> None:
        now = time.monotonic()
        if hvd.rank() != 0 or now - self._reported < _STEP_REPORT_SECONDS:
            return
        self._reported = now
        seconds = max(now - self._started, 1e-9)
        per_second = self._rows / seconds
        left = (self._job.epochs - self._epoch - 1) * self._whole
        left += self._share - self._rows
        self._control.send(
            "step",
            epoch=self._epoch + 1,
            epochs=self._job.epochs,
            step=step,
            steps=self._steps_before + -(-self._share // self._job.batch_size),
            loss=_number((logs or {}).get("loss")),
            learning_rate=self._learning_rate,
            rows_per_second=per_second * self._job.ranks,
            seconds_left=left / max(per_second, 1e-9),
        )


def derived_seed(*words: int) -> int:
    """Return a seed that is a function of `words`, such as (seed, rank, epoch)."""
    return int(np.random.SeedSequence(words).generate_state(1)[0])


def _compile(job: Job, model: Any, task: str) -> None:
    """Compile, unless the user's function did; then only set what reduction needs."""
    if model.compiled and model.optimizer is not None:
        if job.optimizer_settings:
            raise ConfigError("the function compiles its model: give its optimizer the settings")
        if job.first_rate is not None:
            model.optimizer.learning_rate = job.first_rate
        model.jit_compile = False
    else:
        model.compile(
            optimizer=optimizer.make(job.optimizer, job.optimizer_settings, job.first_rate),
            loss=LOSSES.get(task),
            jit_compile=False,  # XLA cannot compile Horovod's operations
        )
    for one, moved in state.optimizers(model):
        optimizer.distribute(one)
        one.build(moved)


def _task(job: Job, model: Any, units: int) -> tuple[str, int | None]:
    """Return task and number of classes, from the network or from the model's last layer."""
    if isinstance(model, Adversarial):
        return "generation", None
    labels = len(job.layout.labels)
    if job.network.task is None and labels == 1 and not outputs.has_layers_in_order(model):
        raise ConfigError(
            f"the function's model is a {type(model).__name__}, whose last layer cannot be told: "
            "say task='binary', 'multiclass' or 'regression'"
        )
    activation = getattr(getattr(model.layers[-1], "activation", None), "__name__", "linear")
    if job.network.task == "reconstruction":
        if units != job.layout.width:
            raise ConfigError(f"{job.layout.width} inputs, but the model has {units} outputs")
        return "reconstruction", None
    inferred = {"sigmoid": "binary", "softmax": "multiclass"}.get(activation, "regression")
    task = job.network.task or ("multilabel" if labels > 1 else inferred)
    if task != "multiclass" and units != labels:
        raise ConfigError(
            f"a {task} model of {labels} labels needs {labels} outputs, this one has {units}"
        )
    if task == "multiclass":
        if job.network.classes not in (None, units):
            raise ConfigError(f"{job.network.classes} classes, but the model has {units} outputs")
        return task, units
    return task, None if task == "regression" else 2


def _spans(
    job: Job, done: int, begun: checkpoint.Begun | None
) -> Iterator[tuple[int, int, Rest | None]]:
    """The epochs to train, as (first, last + 1, what to read of them): the rest of one that was
    begun, then whole ones."""
    if begun is not None:
        yield done, done + 1, begun.rest
        done += 1
    if done < job.epochs:
        yield done, job.epochs, None


@dataclass(frozen=True, kw_only=True)
class Reached:
    """How far a fit is when a process takes it up. `best` as in a checkpoint."""

    history: list[dict[str, Any]]
    begun: checkpoint.Begun | None
    best: list[np.ndarray[Any, Any]] | None


def _resume(job: Job, model: Any, control: Control) -> Reached:
    """Give all ranks the weights of rank 0, from the checkpoint if there is one.

    What is said of checkpoints is an event: the driver does not read a rank's log.
    """
    found = None
    if job.checkpoint is not None and hvd.rank() == 0:
        found = checkpoint.newest(
            Path(job.checkpoint),
            job.identity(),
            job.epochs,
            order_digest=job.train.order_digest,
            warn=lambda text: control.send("checkpoint", warning=True, text=text),
        )
    variables = state.shared_variables(model)
    if found is not None:
        steps = f" and {found.begun.steps} steps" if found.begun is not None else ""
        text = f"going on after {found.epoch} epochs{steps} of {job.checkpoint}"
        control.send("checkpoint", warning=False, text=text)
        for variable, array in zip(variables, found.arrays, strict=True):
            variable.assign(array)
    if hvd.size() > 1:
        for number, variable in enumerate(variables):
            variable.assign(_broadcast(variable.value, f"state.{number}"))
    done = None if found is None else checkpoint.progress_to_json(found)
    history, begun = checkpoint.progress_from_json(_from_first_rank(done))
    best = None
    if _from_first_rank(found is not None and found.best is not None):
        mine = found.best if found is not None and found.best else state.weights(model)
        best = [np.array(_broadcast(one, f"best.{n}")) for n, one in enumerate(mine)]
    return Reached(history=history, begun=begun, best=best)


def _broadcast(value: Any, name: str) -> Any:
    """Return rank 0's `value`, a tensor."""
    tensor = tf.convert_to_tensor(value)
    return tensor if hvd.size() == 1 else hvd.broadcast(tensor, root_rank=0, name=name)


def _from_first_rank(value: Any) -> Any:
    """Return rank 0's `value`, sent as JSON: Horovod's own object broadcast would unpickle."""
    if hvd.size() == 1:
        return value
    text = np.frombuffer(json.dumps(value).encode(), np.uint8)
    mine = text if hvd.rank() == 0 else text[:0]
    gathered = hvd.allgather(tf.constant(mine), name="progress").numpy()
    return json.loads(gathered.tobytes())


def _averaged(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    if hvd.size() == 1:
        return values
    mean: np.ndarray[Any, Any] = hvd.allreduce(
        tf.constant(values), op=hvd.Average, name="loss"
    ).numpy()
    return mean


def _save(model: Any, folder: Path) -> None:
    """Save without the optimizer: a model that scores does not need its state."""
    if isinstance(model, Adversarial):
        model.generator.save(folder / "generator.keras")
        model = model.judge()
    chain = DenseChain.of(model)
    if chain is not None:
        (folder / "dense.npz").write_bytes(chain.to_bytes())
    if not model.compiled:
        model.save(folder / "model.keras")
        return
    with optimizer.plain(model.optimizer):
        model.optimizer = None
        model.compiled = False
        model.save(folder / "model.keras")


def _number(value: Any) -> float | None:
    """Return a float that JSON can hold, or None."""
    if value is None or not math.isfinite(float(value)):
        return None
    return float(value)
