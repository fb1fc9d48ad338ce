"""Looking into a restoration while it runs: how far it is, and the best image so far."""

from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import torch
from torch import Tensor

from daep_deepinv import DAEP

__all__ = ["Watch", "iterations"]

#: Noise in an iterate over the kernel width of its iteration; measured on deblurring and denoising, where 0.3 to 0.6
#: are equally good from the eighth iteration on, and 0.3 is best before.
REMAINING_NOISE = 0.3


def iterations(number: int) -> str:
    """So many iterations, in words."""
    return f"{number} iteration" + ("" if number == 1 else "s")


class Watch:
    """Follow the iterations of a model in a ``with`` block.

    It hooks on deepinv's iterator, which every solver has, and changes nothing of what is computed.

    :param DAEP model: any deepinv ``BaseOptim`` will do.
    :param Callable step: called after each iteration with the share of the run that it was.
    """

    def __init__(self, model: DAEP, step: Callable[[float], None] | None = None):
        self.model, self.step = model, step
        #: Iterations done.
        self.done = 0
        self._image: Tensor | None = None

    @property
    def total(self) -> int:
        """Iterations of a whole run."""
        return int(self.model.max_iter)

    def __enter__(self) -> Watch:
        self._hook = self.model.fixed_point.iterator.register_forward_hook(self._after)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._hook.remove()

    def best(self, noisy: bool) -> Tensor | None:
        """The best image that can be made of the last iterate, (B, C, H, W); ``None`` before the first.

        Iterates of a noisy measurement hold some of the noise that the prior injects, as strong as its kernel is wide.
        A network that can be told the level takes it away: 1 to 5 dB in the first half of the annealed schedule.

        :param bool noisy: whether the measurement is.
        """
        if self._image is None or not noisy or self.model.prior[0].trained_width is not None:
            return self._image
        width = self.model.params_algo["g_param"][self.done - 1]
        with torch.no_grad():
            cleaned: Tensor = self.model.prior[0].denoise(self._image, REMAINING_NOISE * width).clamp(0, 1)
        return cleaned

    def _after(self, iterator: Any, arguments: Any, state: dict[str, Any]) -> None:
        self._image = self.model.get_output(state)
        self.done += 1
        if self.step is not None:
            self.step(1 / self.total)
