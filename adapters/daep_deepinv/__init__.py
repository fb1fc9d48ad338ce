"""The denoising-autoencoder prior for deepinv: ``DAEPrior``, the solvers, and the reconstructor ``DAEP``."""

from daep_deepinv.blind import BlindDAEP, estimate_kernel
from daep_deepinv.denoiser import AnyChannelDenoiser, DAEDenoiser
from daep_deepinv.iterators import HeavyBallIteration, ProximalMomentumIteration
from daep_deepinv.noise.given import SignalNoise
from daep_deepinv.operators.degradation import as_filter, degradation
from daep_deepinv.operators.resampling import BicubicDownsampling
from daep_deepinv.plans.plan import Plan, Plans
from daep_deepinv.prior import DAEPrior
from daep_deepinv.reconstructor import DAEP
from daep_deepinv.register_iterators import register
from daep_deepinv.starts.starting_point import starting_point
from daep_prior import DivergenceError

__all__ = [
    "DAEP",
    "AnyChannelDenoiser",
    "BicubicDownsampling",
    "BlindDAEP",
    "DAEDenoiser",
    "DAEPrior",
    "DivergenceError",
    "HeavyBallIteration",
    "Plan",
    "Plans",
    "ProximalMomentumIteration",
    "SignalNoise",
    "as_filter",
    "degradation",
    "estimate_kernel",
    "register",
    "starting_point",
]
