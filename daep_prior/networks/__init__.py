"""The denoising autoencoders (DAEs): the paper's 20 x 64 network and a noise-conditional U-Net."""

from daep_prior.networks.adapt import with_channels
from daep_prior.networks.build import ARCHITECTURES, build_network
from daep_prior.networks.conv import ConvDAE
from daep_prior.networks.dae import DAE
from daep_prior.networks.unet import UNetDAE

__all__ = ["ARCHITECTURES", "DAE", "ConvDAE", "UNetDAE", "build_network", "with_channels"]
