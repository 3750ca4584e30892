"""Deep training: Keras models on Horovod ranks in one Spark barrier stage."""

from sparkmine.train.estimator import Training
from sparkmine.train.fitting import fit
from sparkmine.train.models import CNN, GAN, MLP, RNN, Autoencoder
from sparkmine.train.models.base import Network
from sparkmine.train.stopping import EarlyStopping
from sparkmine.train.trained import TrainedModel

__all__ = [
    "CNN",
    "GAN",
    "MLP",
    "RNN",
    "Autoencoder",
    "EarlyStopping",
    "Network",
    "TrainedModel",
    "Training",
    "fit",
]
