"""The denoising-autoencoder prior for pyproximal and PyLops: the operator ``DAEPrior`` and the solver ``restore``."""

try:
    from daep_pyproximal.prior import DAEPrior
    from daep_pyproximal.solver import restore
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing not in ("pyproximal", "pylops"):
        raise
    raise ModuleNotFoundError(
        f"daep_pyproximal needs {missing}: pip install 'daep-prior[pyproximal]'.", name=missing
    ) from error

__all__ = ["DAEPrior", "restore"]
