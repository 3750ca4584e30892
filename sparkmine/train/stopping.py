"""When a fit ends before its last epoch: a function of its history, so that all ranks agree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sparkmine.errors import ConfigError

# Words in the names of figures, Keras's too.
_HIGHER_IS_BETTER = ("auc", "accuracy", "precision", "recall", "f1", "fbeta", "r2", "io_u")


@dataclass(frozen=True, kw_only=True)
class EarlyStopping:
    """End a fit when a figure has not become better for some epochs (Prechelt 1998).

    Attributes:
        monitor: A figure of the history, such as `val_loss`, `val_auc` or `loss`. Areas under the
            curve, accuracies, precision, recall, F scores, R2 and overlaps (`io_u`) should grow,
            anything else should fall.
        patience: After so many epochs without a better figure the fit ends.
        min_delta: By how much a figure must be better than the best so far.
        restore_best: Whether the model has the weights of the best epoch, or of the last.
    """

    monitor: str = "val_loss"
    patience: int = 3
    min_delta: float = 0.0
    restore_best: bool = True

    def __post_init__(self) -> None:
        if self.patience < 1 or self.min_delta < 0:
            raise ConfigError(
                f"EarlyStopping patience={self.patience}, min_delta={self.min_delta}: "
                "at least 1 and 0"
            )

    def check(self, figures: Sequence[str]) -> None:
        """Raise ConfigError unless `monitor` is one of the `figures` that the history will have."""
        if self.monitor not in figures:
            raise ConfigError(
                f"EarlyStopping monitor={self.monitor!r}: this fit has {', '.join(figures)}"
                + ("" if any(name.startswith("val_") for name in figures) else "; give validation=")
            )

    def best(self, history: Sequence[Mapping[str, Any]]) -> int:
        """Return the number of the best epoch, from 1; 0 where no epoch has the figure."""
        sign = 1.0 if any(word in self._plain for word in _HIGHER_IS_BETTER) else -1.0
        best, found = 0, 0.0
        for number, record in enumerate(history, start=1):
            value = record.get(self.monitor)
            if value is not None and (not best or sign * value > found + self.min_delta):
                best, found = number, sign * value
        return best

    def over(self, history: Sequence[Mapping[str, Any]]) -> bool:
        """Tell whether the fit ends after the epochs of `history`."""
        return len(history) - self.best(history) >= self.patience

    @property
    def _plain(self) -> str:
        return self.monitor.removeprefix("val_")
