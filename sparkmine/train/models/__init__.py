"""Networks by name. One file each."""

from sparkmine.train.models.cnn import CNN
from sparkmine.train.models.mlp import MLP

__all__ = ["CNN", "MLP"]
