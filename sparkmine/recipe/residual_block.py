"""How far each row is from the space that principal components span: a score of outliers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from sparkmine.recipe.block import BlockFunction, map_rows, read_rows, write_rows


@dataclass(frozen=True, eq=False, kw_only=True)
class ResidualBlock(BlockFunction):
    """The squared norm of (x - shift) / scale less its projection on the components.

    Attributes:
        inputs: Names of the columns, as those of an `AffineBlock`.
        widths: Elements of each of them; together d.
        shift: [d].
        scale: [d].
        components: [d, k], orthonormal.
    """

    kind: ClassVar[str] = "residual"
    scalar: ClassVar[bool] = True
    inputs: tuple[str, ...]
    widths: tuple[int, ...]
    shift: np.ndarray
    scale: np.ndarray
    components: np.ndarray

    def apply(self, block: pa.Table | pa.RecordBatch) -> pa.Array:
        """One double for each row.

        Raises:
            DataError: as those of an `AffineBlock`.
        """

        def error(rows: np.ndarray) -> np.ndarray:
            rows /= self.scale
            # Subtracted, not ||x||² - ||projection||²: that would lose the digits of small errors.
            rows -= (rows @ self.components) @ self.components.T
            return np.asarray(np.einsum("ij,ij->i", rows, rows)[:, None])

        found = map_rows((self.inputs, self.widths, self.shift), block, error, 1)
        return pa.array(found[:, 0])

    def write(self, file: Path) -> None:
        arrays = {"shift": self.shift, "scale": self.scale, "components": self.components}
        write_rows(file, (self.inputs, self.widths), arrays)

    @classmethod
    def read(cls, file: Path) -> ResidualBlock:
        (inputs, widths), found = read_rows(file, ("shift", "scale", "components"))
        return cls(inputs=inputs, widths=widths, **found)
