"""How often each value occurs in the lists of a column."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from sparkmine.stats.counts import Counts


@dataclass(frozen=True)
class ElementCounts(Counts):
    """Counts of the elements of a column of lists, each as often as it stands in a list.

    Null lists and null elements are left out.
    """

    def update(self, state: Any, arrays: list[pa.Array]) -> Any:
        return super().update(state, [pc.list_flatten(arrays[0])])
