"""Training of a DAE: configuration, data, optimisation steps and checkpoints; the code behind ``daep train``."""

from daep_prior.training.config import TrainingConfig
from daep_prior.training.data import load_training_images
from daep_prior.training.loop import train, validation_psnr
from daep_prior.training.run import checkpoint_path

__all__ = ["TrainingConfig", "checkpoint_path", "load_training_images", "train", "validation_psnr"]
