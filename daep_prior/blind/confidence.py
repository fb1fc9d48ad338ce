"""How likely it is that a found kernel is right: how well the starts confirm it, and what that meant when measured."""

import math

from torch import Tensor

from daep_prior.blind.one_start import Estimate
from daep_prior.blind.similarity import similarity

#: Similarity to the true kernel from which a found one is right.
RIGHT = 0.95
#: Of the logistic function; fitted to random blurred training photographs by ``benchmarks/blind_confidence.py``.
OFFSET, SLOPE = -6.23, 4.10
#: Keeps the digits of a confirmation of 1 finite. Chosen by hand.
NEAR = 0.002
#: Confidence below which a kernel is uncertain: it is more likely wrong than right.
UNCERTAIN = 0.5


def confidence(kernel: Tensor, estimates: list[Estimate]) -> float:
    r"""Probability that the similarity of a kernel to the true one is at least :data:`RIGHT`.

    .. math::

        p = \frac{1}{1 + e^{-a - b q}}, \qquad q = -\log_{10}(1 + \epsilon - c),

    with the :func:`confirmation` :math:`c`, :data:`OFFSET` :math:`a`, :data:`SLOPE` :math:`b` and :data:`NEAR`
    :math:`\epsilon`.

    :param torch.Tensor kernel: (n, n), n odd, after its last rounds.
    :param list estimates: of all starts. If all have one factor, nothing confirms the kernel: 0.
    """
    if len({estimate.factor for estimate in estimates}) < 2:
        return 0.0
    return 1 / (1 + math.exp(-OFFSET - SLOPE * confirmed_digits(confirmation(kernel, estimates))))


def confirmation(kernel: Tensor, estimates: list[Estimate]) -> float:
    """The largest similarity of a kernel (n, n) to that of a start with another factor than its own.

    The most similar start counts as its own. Starts with one factor often fail alike.

    :raises ValueError: all starts have one factor.
    """
    alike = [similarity(kernel, estimate.kernel) for estimate in estimates]
    own = estimates[max(range(len(alike)), key=alike.__getitem__)].factor if estimates else 0.0
    others = [value for value, estimate in zip(alike, estimates, strict=True) if estimate.factor != own]
    if not others:
        raise ValueError(f"estimates: got {len(estimates)} with one factor; expected starts with two factors.")
    return max(others)


def confirmed_digits(confirmed: float) -> float:
    """``q`` of :func:`confidence`: about 1 for a confirmation of 0.9, 2 for 0.99; at most 2.7."""
    return -math.log10(1 + NEAR - min(1.0, confirmed))
