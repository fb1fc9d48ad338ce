"""How likely it is that a found kernel is right: how well the starts confirm it, and what that meant when measured."""

import math

from torch import Tensor

from daep_prior.blind.one_start import Estimate
from daep_prior.blind.similarity import similarity

#: Similarity to the true kernel from which a found one is right.
RIGHT = 0.95
#: Of the logistic function; fitted to random blurred training photographs by ``benchmarks/blind_confidence.py``.
OFFSET, SLOPE = -10.50, 6.76
#: Difference of the confirmation to 1 below which it makes no difference.
NEAR = 0.002
#: Confidence below which a kernel is uncertain: it is more likely wrong than right.
UNCERTAIN = 0.5


def confidence(kernel: Tensor, estimates: list[Estimate], doubt: float = 0.0) -> float:
    r"""Probability that the similarity of a kernel to the true one is at least :data:`RIGHT`.

    .. math::

        p = \frac{1}{1 + e^{-a - b q}}, \qquad q = -\log_{10}(1 + \epsilon - c),

    with the :func:`confirmation` :math:`c`, :data:`OFFSET` :math:`a`, :data:`SLOPE` :math:`b` and :data:`NEAR`
    :math:`\epsilon`. If the restoration overshoots the photograph, it is at most :data:`UNCERTAIN` over the overshoot.

    :param torch.Tensor kernel: (n, n), n odd, after its last rounds.
    :param list estimates: of all starts. One start alone confirms nothing: 0.
    :param float doubt: overshoot, see :func:`daep_prior.blind.overshoot.overshoot`; above 1: probably wrong.
    """
    if len(estimates) < 2:
        return 0.0
    probability = 1 / (1 + math.exp(-OFFSET - SLOPE * confirmed_digits(confirmation(kernel, estimates))))
    return probability if doubt <= 1 else min(probability, UNCERTAIN / doubt)


def confirmation(kernel: Tensor, estimates: list[Estimate]) -> float:
    """The second largest similarity of a kernel (n, n) to those of the starts; the largest is that of its own start.

    :raises ValueError: there are fewer than two starts.
    """
    if len(estimates) < 2:
        raise ValueError(f"estimates: got {len(estimates)}; expected those of at least two starts.")
    return sorted(similarity(kernel, estimate.kernel) for estimate in estimates)[-2]


def confirmed_digits(confirmed: float) -> float:
    """``q`` of :func:`confidence`: 1 for a confirmation of 0.9, 2 for 0.99, at most 2.7."""
    return -math.log10(1 + NEAR - min(1.0, confirmed))
