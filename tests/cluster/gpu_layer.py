"""Sent along by the tests: a layer that writes down the GPU which its process was given."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import keras


@keras.saving.register_keras_serializable("tests")
class Noted(keras.layers.Layer):  # type: ignore[misc]
    def __init__(self, folder: str, **options: Any) -> None:
        super().__init__(**options)
        self.folder = folder

    def call(self, x: Any) -> Any:
        given = os.environ.get("CUDA_VISIBLE_DEVICES", "")
        (Path(self.folder) / f"worker-{os.getpid()}").write_text(given)
        return x

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "folder": self.folder}
