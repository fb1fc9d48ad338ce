"""The denoising-autoencoder prior for scico: the functional ``DAEPrior`` and the solver ``restore``."""

try:
    from daep_scico.prior import DAEPrior
    from daep_scico.solver import restore
except ModuleNotFoundError as error:
    if error.name not in ("scico", "jax", "jaxlib"):
        raise
    raise ModuleNotFoundError(
        f"daep_scico needs {error.name}: pip install 'daep-prior[scico]'.", name=error.name
    ) from error

__all__ = ["DAEPrior", "restore"]
