"""Fitted estimators as bytes, without pickle: in the format of skops (skops.readthedocs.io).

A file is a zip with a tree of types in JSON, and arrays. Nothing is constructed before the tree has
been audited. Trusted are the types that skops trusts by itself (scikit-learn's estimators, numbers,
NumPy's arrays, dtypes and ufuncs, SciPy's matrices), and classes that scikit-learn defines, or a
package that was named: by an estimator of this process, or in SPARKMINE_TRUSTED_PACKAGES. Functions
are not, wherever they are from. Every other type is refused.

What the audit cannot see is whether arrays fit together: a crafted tree can crash the process that
scores by it, but not run code. Trees are trusted, since the manifest's hashes tell damage, and who
can write the warehouse can write the scores, too.
"""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterable
from typing import Any

from sparkmine.errors import ModelError

TRUSTED = "SPARKMINE_TRUSTED_PACKAGES"

_named: set[str] = set()


def trust(packages: Iterable[str]) -> None:
    """Trust the classes of these packages in files that this process reads."""
    _named.update(packages)


def trusted() -> tuple[str, ...]:
    """The packages whose classes are trusted."""
    given = os.environ.get(TRUSTED, "").replace(",", " ").split()
    return tuple(sorted({"sklearn", *_named, *given}))


def dumped(fitted: Any, packages: Iterable[str]) -> bytes:
    """The estimator as bytes.

    Raises:
        ModelError: it holds what would not be read again.
    """
    from skops import io

    try:
        data = io.dumps(fitted)
    except Exception as error:  # skops raises what the types' own methods raise
        raise ModelError(
            f"a fitted {type(fitted).__name__} cannot be stored without pickle: {error}"
        ) from None
    _refuse(_strangers(data, packages), f"a fitted {type(fitted).__name__}")
    return bytes(data)


def loaded(data: bytes, packages: Iterable[str], place: str = "a saved estimator") -> Any:
    """The estimator that `dumped` gave.

    Raises:
        ModelError: it has types that are not trusted, or is damaged.
    """
    from skops import io

    try:
        strange = _strangers(data, packages)
        _refuse(strange, place)
        return io.loads(data, trusted=io.get_untrusted_types(data=data))
    except ModelError:
        raise
    except Exception as error:  # a damaged file fails anywhere
        raise ModelError(f"{place} cannot be read: {type(error).__name__}: {error}") from None


def _strangers(data: bytes, packages: Iterable[str]) -> list[str]:
    """The types that are not trusted."""
    from skops import io

    names = io.get_untrusted_types(data=data)
    return [name for name in names if not _is_class(name, frozenset(packages))]


def _is_class(name: str, packages: frozenset[str]) -> bool:
    """Whether a class of this name is defined in one of the packages."""
    if name.partition(".")[0] not in packages:
        return False
    module, _, attribute = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError):
        return False
    return isinstance(found, type) and found.__module__.partition(".")[0] in packages


def _refuse(strange: list[str], place: str) -> None:
    if strange:
        raise ModelError(
            f"{place} holds {', '.join(strange[:5])}, which is not trusted; if you know the "
            f"package, name it in the environment variable {TRUSTED}"
        )
