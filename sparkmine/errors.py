"""Every error that a user can meet: a stable code, one line, and what to do.

Code that calls sparkmine catches `SparkmineError`; scripts and operators match on `code`.
The command line prints `CODE: message` and exits with a non-zero status.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import ClassVar


class SparkmineError(Exception):
    """Base of all errors raised on purpose. `code` is stable across releases."""

    code: ClassVar[str] = "SPARKMINE_ERROR"

    def __init__(self, message: str) -> None:
        # Error texts of libraries span many lines; a log line must not.
        super().__init__(" ".join(message.split()))

    @property
    def text(self) -> str:
        """The message without the code."""
        return super().__str__()

    def __str__(self) -> str:
        return f"{self.code}: {self.text}"


class ConfigError(SparkmineError):
    """The YAML, a setting or a call is wrong. Names the file, line and key path."""

    code = "CONFIG_INVALID"


class ExpressionError(SparkmineError):
    """An expression cannot be parsed, or uses something outside the language."""

    code = "EXPRESSION_INVALID"


class JavaMissingError(SparkmineError):
    code = "JAVA_MISSING"


class DeltaJarsMissingError(SparkmineError):
    code = "DELTA_JARS_MISSING"


class WarehouseError(SparkmineError):
    """The warehouse folder cannot be written."""

    code = "WAREHOUSE_UNWRITABLE"


class TableMissingError(SparkmineError):
    code = "TABLE_MISSING"


class TableDamagedError(SparkmineError):
    """A log entry or a data file of a table is missing or unreadable."""

    code = "TABLE_DAMAGED"


class VersionError(SparkmineError):
    """A table is at a version that sparkmine did not write, or lacks the version asked for."""

    code = "TABLE_VERSION_UNEXPECTED"


class CommitError(SparkmineError):
    """Delta did not take a commit, or took another one."""

    code = "COMMIT_FAILED"


class WriteConflictError(SparkmineError):
    """Other writers of the same table were faster, as often as it was tried."""

    code = "WRITE_CONFLICT"


class FingerprintError(SparkmineError):
    """A table holds other rows under the fingerprint of the work that would write it."""

    code = "FINGERPRINT_CONFLICT"


class ReplayError(SparkmineError):
    """A run that was made again gave other rows, or could not read what it had read."""

    code = "REPLAY_DIFFERS"


class SourceMissingError(SparkmineError):
    code = "SOURCE_MISSING"


class SourceColumnsError(SparkmineError):
    """A source has other columns than its declared schema."""

    code = "SOURCE_COLUMNS_DIFFER"


class SourceEmptyError(SparkmineError):
    code = "SOURCE_EMPTY"


class TooManyBadRowsError(SparkmineError):
    """More rows broke the rules than `max_bad_fraction` allows."""

    code = "TOO_MANY_BAD_ROWS"


class ContractError(SparkmineError):
    """A table breaks a rule of its contract that fails the stage."""

    code = "CONTRACT_BROKEN"


class AccountingError(SparkmineError):
    """Rows in are not rows kept + quarantined + removed."""

    code = "ROWS_UNACCOUNTED"


class RecipeError(SparkmineError):
    """A recipe does not fit its data: columns, kinds or values."""

    code = "RECIPE_INVALID"


class DataError(SparkmineError):
    """The rows that reach a method are not what it can work on (NaN, no rows, one class)."""

    code = "DATA_UNSUITABLE"


class BaselineNotBeatenError(SparkmineError):
    """The best model does not beat the baseline with confidence, and the stage asks for it."""

    code = "BASELINE_NOT_BEATEN"


class LeakageError(SparkmineError):
    """The training rows know something of the test rows, or of the answer."""

    code = "LEAKAGE_FOUND"


class ModelError(SparkmineError):
    """A saved model is missing, damaged, or of a format this version does not read."""

    code = "MODEL_UNREADABLE"


class ExtraMissingError(SparkmineError):
    """Packages of an optional part are not installed."""

    code = "EXTRA_MISSING"


class TooLittleMemoryError(SparkmineError):
    """The rows of a fit do not fit the memory that a task may use. Says both numbers."""

    code = "TOO_LITTLE_MEMORY"


class TooFewSlotsError(SparkmineError):
    """The cluster cannot run all ranks at once."""

    code = "TOO_FEW_SLOTS"


class DynamicAllocationError(SparkmineError):
    """Barrier stages and dynamic allocation do not go together."""

    code = "DYNAMIC_ALLOCATION_ON"


class ExecutorsDifferError(SparkmineError):
    """Executors lack packages that training needs, or have other versions than the driver."""

    code = "EXECUTORS_DIFFER"


class GpuMissingError(SparkmineError):
    """A rank was promised GPUs that its executor does not have."""

    code = "GPU_MISSING"


class PathNotSharedError(SparkmineError):
    """An executor does not see, or cannot write, a folder that driver and ranks must share."""

    code = "PATH_NOT_SHARED"


class RankUnreachableError(SparkmineError):
    """A rank cannot open a connection to rank 0."""

    code = "RANK_UNREACHABLE"


class RankFailedError(SparkmineError):
    """A training rank raised, died or hung. Quotes its last lines of output."""

    code = "RANK_FAILED"


class LockedError(SparkmineError):
    """Another process works on the same table or pipeline."""

    code = "LOCKED"


class InternalError(SparkmineError):
    """Something that no check foresaw. The log has the stack trace."""

    code = "INTERNAL"


_WORKER_ERROR = re.compile(r"sparkmine\.[\w.]+\.(\w+): (?:[A-Z_]+: )?(.+)")


def worker_error(error: BaseException) -> SparkmineError | None:
    """One of ours that a Python worker raised: it arrives as text inside Spark's error."""
    found = _WORKER_ERROR.search(str(error))
    kind = globals().get(found.group(1)) if found else None
    if found and isinstance(kind, type) and issubclass(kind, SparkmineError):
        return kind(found.group(2))
    return None


@contextlib.contextmanager
def raised_by_workers() -> Iterator[None]:
    """Let errors of ours that Python workers raise end the block as what they are."""
    try:
        yield
    except SparkmineError:
        raise
    except Exception as error:
        found = worker_error(error)
        if found is None:
            raise
        raise found from None
