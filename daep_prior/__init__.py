"""The denoising-autoencoder ("mean-shift") prior for image restoration.

S. A. Bigdeli, M. Zwicker, *Image Restoration using Autoencoding Priors*, VISAPP 2018. This package is the prior
itself. It needs torch, numpy and safetensors, and no toolkit; ``daep_deepinv`` makes it a prior of deepinv.
"""

from daep_prior.channel_transform import ChannelTransform, phase_channels, principal_channels, range_transform
from daep_prior.energy import energy, energy_gradient, mean_shift
from daep_prior.networks import DAE, ConvDAE, UNetDAE
from daep_prior.noise_fields import NoiseSource
from daep_prior.pretrained import load_dae, save_dae, shipped_networks
from daep_prior.prior import MeanShiftPrior
from daep_prior.restoration import DivergenceError, restore
from daep_prior.schedules import Schedule

__all__ = [
    "DAE",
    "ChannelTransform",
    "ConvDAE",
    "DivergenceError",
    "MeanShiftPrior",
    "NoiseSource",
    "Schedule",
    "UNetDAE",
    "energy",
    "energy_gradient",
    "load_dae",
    "mean_shift",
    "phase_channels",
    "principal_channels",
    "range_transform",
    "restore",
    "save_dae",
    "shipped_networks",
]
