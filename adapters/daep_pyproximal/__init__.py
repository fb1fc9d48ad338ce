"""The denoising-autoencoder prior for pyproximal and PyLops: the operator ``DAEPrior`` and the solver ``restore``."""

from daep_pyproximal.prior import DAEPrior
from daep_pyproximal.solver import restore

__all__ = ["DAEPrior", "restore"]
