"""``LastCall``: the plans and recorded values of a reconstructor's last call."""

from __future__ import annotations

from daep_deepinv.plans.plan import Plans
from daep_deepinv.plans.run_plan import Outcome

__all__ = ["LastCall"]


class LastCall:
    """Plans, noise levels and values of each iteration of the call that ended last, in whatever thread."""

    #: Set in one step when a call ends, so that no thread sees half of it.
    _last: tuple[Plans, Outcome | None] = (Plans(), None)

    @property
    def plans(self) -> Plans:
        """The plans of the last call, one an image."""
        return self._last[0]

    @property
    def history(self) -> dict[str, list[list[float]]]:
        """Of the last call: name -> image -> one value an iteration."""
        return {} if self._last[1] is None else self._last[1].history

    @property
    def noise_level(self) -> list[float]:
        """Of the last call: the noise level of each image, given, stated or estimated."""
        return [plan.noise.level for plan in self._last[0]]

    @property
    def has_converged(self) -> bool:
        """Of the last call: whether ``early_stop`` ended it before the last iteration."""
        return self._last[1] is not None and self._last[1].converged
