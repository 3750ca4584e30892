"""Networks by name. One file each."""

from sparkmine.train.models.autoencoder import Autoencoder
from sparkmine.train.models.cnn import CNN
from sparkmine.train.models.gan import GAN
from sparkmine.train.models.mlp import MLP
from sparkmine.train.models.rnn import RNN

__all__ = ["CNN", "GAN", "MLP", "RNN", "Autoencoder"]
