"""The settings of a training run, checked."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Any

from daep_prior.images import RGB
from daep_prior.networks import ConvDAE

__all__ = ["FINE_TUNING", "TrainingConfig"]

#: Settings with which a trained network is adapted to images of another kind. Rates: a fifth of those from scratch, as
#: in the last runs of the shipped networks (docs/models.md); steps: twenty minutes on two cores.
FINE_TUNING: dict[str, Any] = {
    "steps": 1000,
    "batch": 16,
    "learning_rate": 2e-4,
    "muon_learning_rate": 2e-3,
    "final_learning_rate": 2e-6,
    "warmup": 50,
}


@dataclass(frozen=True)
class TrainingConfig:
    """The settings of a training run; checkpoint and model card contain all of them.

    The loss is the paper's (section 4): residual learning, L2. The kernels between feature channels are trained by Muon
    (:class:`daep_prior.training.muon.Muon`), all other parameters by Adam with the paper's rates (0.9, 0.999) and 1e-3.

    :param dict network: see :func:`daep_prior.networks.build_network`.
    :param int steps: optimisation steps of the whole run; the learning rates fall by a cosine over them.
    :param int batch: crops a step.
    :param int crop: height and width of a crop, pixels.
    :param float learning_rate: Adam's, at its highest, after ``warmup`` steps.
    :param float final_learning_rate: Adam's, at the last step.
    :param float muon_learning_rate: Muon's, at its highest; it rises and falls with ``learning_rate``.
    :param int warmup: steps over which the learning rates rise linearly.
    :param float ema: decay of the moving average of the weights, which is validated and saved.
    :param float clip: bound on the gradient's norm.
    :param float level_offset: the squared error of a noise-conditional network is weighted by ``1 / (s + offset)^p``,
        so that high noise levels ``s`` do not dominate; the offset is a standard deviation, images in [0, 1].
    :param float level_power: the ``p`` above.
    :param float augmentation: share of the crops that are reduced in size, and independently of those that get other
        colours. Photographs have smooth, dull colours; without this a network fails on others.
    :param float blur: largest standard deviation, pixels, of a Gaussian blur of the noisy crops; the network learns the
        sharp ones. With it ``A(x) - x`` is not the mean shift of eq. 6; the energy prefers sharp images.
    :param str noise: what the images were made for before, in words, such as the noise of a sensor whose variance was
        stabilised; a run continues only with the same.
    :param int validation_images: images that are not trained on but used for validation; fewer if there are few.
    :param int seed: of crops, noise and initial weights.
    :raises ValueError: a setting out of range.
    """

    network: dict[str, Any] = field(default_factory=lambda: ConvDAE().config())
    steps: int = 200_000
    batch: int = 32
    crop: int = 64
    learning_rate: float = 1e-3
    final_learning_rate: float = 1e-5
    muon_learning_rate: float = 0.01
    warmup: int = 200
    ema: float = 0.999
    clip: float = 0.5
    level_offset: float = 5 / 255
    level_power: float = 1.0
    augmentation: float = 0.15
    blur: float = 0.0
    noise: str = ""
    validation_images: int = 12
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "crop", "validation_images"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: got {getattr(self, name)}; expected at least 1.")
        for name in ("learning_rate", "final_learning_rate", "muon_learning_rate", "clip", "level_offset"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name}: got {getattr(self, name)}; expected a positive number.")
        if not 0 <= self.seed < 2**32:
            raise ValueError(f"seed: got {self.seed}; expected a number in [0, 2^32).")
        if not 0 <= self.augmentation <= 1:
            raise ValueError(f"augmentation: got {self.augmentation}; expected a share in [0, 1].")
        if not 0 <= 3 * self.blur < self.crop:
            raise ValueError(f"blur: got {self.blur}; expected 0 to a third of the crop, {self.crop} pixels.")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema: got {self.ema}; expected a decay in [0, 1).")

    @property
    def channels(self) -> int:
        """Channels of the network."""
        return int(self.network.get("channels", RGB))

    def learning_rate_at(self, step: int) -> float:
        """Linear warm-up, then half a cosine from ``learning_rate`` to ``final_learning_rate``."""
        warm = min(1.0, (step + 1) / max(1, self.warmup))
        fall = 0.5 * (1 + math.cos(math.pi * min(1.0, step / self.steps)))
        return warm * (self.final_learning_rate + (self.learning_rate - self.final_learning_rate) * fall)
