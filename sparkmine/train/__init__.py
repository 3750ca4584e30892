"""Deep training: Keras models on Horovod ranks in one Spark barrier stage."""

from sparkmine.train.fitting import fit
from sparkmine.train.models import CNN, MLP, RNN, Autoencoder
from sparkmine.train.models.base import Network
from sparkmine.train.trained import TrainedModel

__all__ = ["CNN", "MLP", "RNN", "Autoencoder", "Network", "TrainedModel", "fit"]
