"""Recipes as stages of `pyspark.ml`: in a Pipeline or CrossValidator, saved and loaded there."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyspark.ml import Estimator, Model
from pyspark.ml.util import (
    DefaultParamsReader,
    DefaultParamsWriter,
    MLReadable,
    MLReader,
    MLWritable,
    MLWriter,
)

from sparkmine.errors import ModelError
from sparkmine.recipe.fitted import FittedRecipe
from sparkmine.recipe.operator import operator_from
from sparkmine.recipe.recipe import Recipe

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

_RECIPE, _FITTED = "recipe.json", "fitted"


class RecipeEstimator(Estimator["RecipeModel"], MLWritable, MLReadable["RecipeEstimator"]):
    """Fits a recipe; its parameters are those of the recipe's operators, not `Param`s."""

    def __init__(self, recipe: Recipe) -> None:
        super().__init__()
        self.recipe = recipe

    def _fit(self, dataset: DataFrame) -> RecipeModel:
        return RecipeModel(self.recipe.fit(dataset))

    def write(self) -> MLWriter:
        return _Writer(self, self._write_recipe)

    def _write_recipe(self, folder: Path) -> None:
        data = {
            "operators": [
                {"operator": one.dotted(), "parameters": one.parameters()}
                for one in self.recipe.operators
            ],
            "keys": list(self.recipe.keys),
            "label": self.recipe.label,
            "keep": list(self.recipe.keep),
        }
        (folder / _RECIPE).write_text(json.dumps(data, indent=1) + "\n")

    @classmethod
    def read(cls) -> MLReader[RecipeEstimator]:
        return _Reader(cls._read_recipe)

    @classmethod
    def _read_recipe(cls, folder: Path) -> RecipeEstimator:
        data = json.loads((folder / _RECIPE).read_text())
        operators = [operator_from(one["operator"], one["parameters"]) for one in data["operators"]]
        return cls(Recipe(*operators, keys=data["keys"], label=data["label"], keep=data["keep"]))


class RecipeModel(Model, MLWritable, MLReadable["RecipeModel"]):
    """A fitted recipe as a transformer."""

    def __init__(self, fitted: FittedRecipe) -> None:
        super().__init__()
        self.fitted = fitted

    def _transform(self, dataset: DataFrame) -> DataFrame:
        return self.fitted.transform(dataset)

    def write(self) -> MLWriter:
        return _Writer(self, lambda folder: self.fitted.save(folder / _FITTED))

    @classmethod
    def read(cls) -> MLReader[RecipeModel]:
        return _Reader(lambda folder: cls(FittedRecipe.load(folder / _FITTED)))


class _Writer(MLWriter):
    """Spark's metadata, which names the class, and beside it the recipe's own files."""

    def __init__(self, stage: Any, write: Any) -> None:
        super().__init__()
        self._stage = stage
        self._write = write

    def saveImpl(self, path: str) -> None:  # noqa: N802 - Spark's name
        DefaultParamsWriter.saveMetadata(self._stage, path, self.sparkSession)
        self._write(_mounted(path))


class _Reader(MLReader[Any]):
    def __init__(self, read: Any) -> None:
        super().__init__()
        self._read = read

    def load(self, path: str) -> Any:
        metadata = DefaultParamsReader.loadMetadata(path, self.sparkSession)
        stage = self._read(_mounted(path))
        stage._resetUid(metadata["uid"])
        return stage


def _mounted(path: str) -> Path:
    """The folder of a path, which must be on a mounted file system."""
    plain = path.removeprefix("file://").removeprefix("file:")
    if "://" in plain:
        raise ModelError(f"{path}: recipes are saved on a mounted file system, not by a URI")
    return Path(plain)
