"""The denoising-autoencoder prior for scico: the functional ``DAEPrior`` and the solver ``restore``."""

try:
    from daep_scico.prior import DAEPrior
    from daep_scico.solver import restore
except ModuleNotFoundError as error:
    missing = (error.name or "").partition(".")[0]
    if missing not in ("scico", "jax", "jaxlib"):
        raise
    raise ModuleNotFoundError(f"daep_scico needs {missing}: pip install 'daep-prior[scico]'.", name=missing) from error

__all__ = ["DAEPrior", "restore"]
