"""``DAEScore``: our prior as a ``deepinv.optim.ScorePrior``, which deepinv's samplers use automatically."""

from __future__ import annotations

from typing import Any

from deepinv.optim import ScorePrior
from deepinv.sampling import BaseSampling
from torch import Tensor, nn
from torch.nn.modules.module import register_module_module_registration_hook

__all__ = ["DAEScore"]


class DAEScore(ScorePrior):
    r"""The prior for samplers: ``grad`` is :math:`-\nabla \log p_s(x) = (x - A_s(x)) / s^2`, ``score`` its negative.

    ``DAEPrior.grad`` is the gradient of :math:`\tfrac12 \|A_s(x) - x\|^2`, which has another direction and scale.
    deepinv's samplers (``ULA``, ``SKRock``, ``BaseSampling``) that are given a :class:`daep_deepinv.DAEPrior` use this
    form of it. A sampler of your own takes ``prior.as_score()``.

    :param daep_deepinv.DAEPrior prior: see :meth:`daep_prior.MeanShiftPrior.score`.
    """

    def __init__(self, prior: Any):
        super().__init__(denoiser=prior.denoiser)
        self.of = prior

    def grad(self, x: Tensor, sigma_denoiser: float | Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """``(x - A_s(x)) / s^2``, of the shape of ``x`` (B, C, H, W) in [0, 1]."""
        return -self.score(x, sigma_denoiser)

    def score(self, x: Tensor, sigma_denoiser: float | Tensor | None = None, *args: Any, **kwargs: Any) -> Tensor:
        """``(A_s(x) - x) / s^2``, of the shape of ``x`` (B, C, H, W) in [0, 1]."""
        found: Tensor = self.of.score(x, sigma_denoiser)
        return found


def _in_its_form_for_samplers(owner: nn.Module, name: str, module: nn.Module | None) -> nn.Module | None:
    """What ``owner.name = module`` registers; ``None``: ``module`` itself."""
    if isinstance(owner, BaseSampling) and hasattr(module, "as_score"):
        score: nn.Module = module.as_score()  # type: ignore[union-attr, operator]
        return score
    return None


# A sampler calls grad(x, sigma) as an optimizer does, so the prior can only know it when it is handed over.
# torch's annotation leaves out that the answer is used.
register_module_module_registration_hook(_in_its_form_for_samplers)  # type: ignore[arg-type]
