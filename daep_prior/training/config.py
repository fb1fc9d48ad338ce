"""What a training run is, as numbers that are checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from daep_prior.networks import ConvDAE

__all__ = ["TrainingConfig"]


@dataclass(frozen=True)
class TrainingConfig:
    """What a training run is; all of it is kept in the checkpoint and in the model card.

    The loss is the paper's (section 4): residual learning, L2. So is Adam (0.9, 0.999) at 1e-3, falling; the kernels
    between feature channels are by default learned by Muon instead, in a fraction of the steps.

    :param dict network: see :func:`daep_prior.networks.build_network`.
    :param int steps: optimisation steps of the whole run; the learning rate falls by a cosine over them.
    :param int batch: crops a step.
    :param int crop: height and width of a crop, pixels.
    :param float learning_rate: at its highest, after ``warmup`` steps.
    :param float final_learning_rate: at the last step.
    :param str optimizer: ``"muon"`` for the kernels between feature channels and Adam for the rest, or ``"adam"`` for
        all.
    :param float muon_learning_rate: of Muon at its highest; rises and falls with ``learning_rate``.
    :param float ema: decay of the moving average of the weights that is validated and saved.
    :param float clip: bound on the gradient's norm.
    :param float level_offset: the squared error of a noise-conditional network is weighted by ``1 / (s + offset)^p``,
        so that no level starves; the offset is a standard deviation, images in [0, 1].
    :param float level_power: the ``p`` above.
    :param float augmentation: share of the crops that are made smaller, and independently of those that are given other
        colours; files of photographs have smooth, dull colours, which a network takes for a law of nature.
    :param int validation_images: images held out for the validation line.
    :param int seed: of crops, noise and initial weights.
    """

    network: dict[str, Any] = field(default_factory=lambda: ConvDAE().config())
    steps: int = 200_000
    batch: int = 32
    crop: int = 64
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    optimizer: str = "muon"
    muon_learning_rate: float = 0.01
    warmup: int = 200
    ema: float = 0.999
    clip: float = 0.5
    level_offset: float = 5 / 255
    level_power: float = 1.0
    augmentation: float = 0.15
    validation_images: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "validation_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}; expected at least 1.")
        for name in ("learning_rate", "final_learning_rate", "muon_learning_rate", "clip"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: got {getattr(self, name)}; expected a positive number.")
        if self.optimizer not in ("muon", "adam"):
            raise ValueError(f"optimizer: got {self.optimizer!r}; expected 'muon' or 'adam'.")
        if not self.level_offset > 0:
            raise ValueError(f"level_offset: got {self.level_offset}; expected a positive number.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: got {self.seed}; expected a number in [0, 2^32).")
        if not 0 <= self.augmentation <= 1:
            raise ValueError(f"augmentation: got {self.augmentation}; expected a share in [0, 1].")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: got {self.ema}; expected a decay in [0, 1).")

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then half a cosine from ``learning_rate`` to ``final_learning_rate``."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        return warm * (self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * fall)
