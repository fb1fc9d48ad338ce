"""Training of a DAE: the code behind ``daep train``."""

from daep_prior.training.checkpoint import checkpoint_path
from daep_prior.training.config import FINE_TUNING, TrainingConfig
from daep_prior.training.data import TrainingImage, load_training_images
from daep_prior.training.loop import train
from daep_prior.training.run import fits
from daep_prior.training.validation import validation_psnr

__all__ = [
    "FINE_TUNING",
    "TrainingConfig",
    "TrainingImage",
    "checkpoint_path",
    "fits",
    "load_training_images",
    "train",
    "validation_psnr",
]
