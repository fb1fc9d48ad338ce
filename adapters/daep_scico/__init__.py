"""The denoising-autoencoder prior for scico: the functional ``DAEPrior`` and the solver ``restore``."""

from daep_scico.prior import DAEPrior
from daep_scico.solver import restore

__all__ = ["DAEPrior", "restore"]
