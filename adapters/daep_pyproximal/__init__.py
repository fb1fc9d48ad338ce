"""The denoising-autoencoder prior for pyproximal and PyLops: the operator ``DAEPrior`` and the solver ``restore``."""

try:
    from daep_pyproximal.prior import DAEPrior
    from daep_pyproximal.solver import restore
except ModuleNotFoundError as error:
    if error.name not in ("pyproximal", "pylops"):
        raise
    raise ModuleNotFoundError(
        f"daep_pyproximal needs {error.name}: pip install 'daep-prior[pyproximal]'.", name=error.name
    ) from error

__all__ = ["DAEPrior", "restore"]
