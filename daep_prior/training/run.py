"""The state of a training run, and its optimisation step."""

from __future__ import annotations

import copy
import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from daep_prior.images import RGB
from daep_prior.inference import fast_dtype
from daep_prior.networks import DAE, build_network, with_channels
from daep_prior.training.blur import randomly_blurred
from daep_prior.training.config import TrainingConfig
from daep_prior.training.muon import Muon

__all__ = ["TrainingRun", "fits"]

#: What may differ between a network and the one that its training starts from; with both or neither noise-conditional.
FREE = ("channels", "sigma", "sigma_range")


class TrainingRun:
    """A training run: network, average, optimizers, counters and history.

    :param TrainingConfig config: its settings.
    :param torch.device device: where it computes.
    :param bool compiled: use ``torch.compile``.
    """

    def __init__(self, config: TrainingConfig, device: torch.device, compiled: bool = False):
        self.config, self.device = config, device
        with torch.random.fork_rng(devices=[]):  # leaves the user's random state alone
            torch.default_generator.manual_seed(config.seed)
            network = build_network(config.network)
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.average: DAE = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizers = _optimizers(self.network, config)
        self.step = 0
        self.seconds = 0.0
        #: Validation figures: step, mean loss, and PSNR in dB by noise level.
        self.history: list[dict[str, float]] = []
        self._forward: nn.Module = torch.compile(self.network) if compiled else self.network  # type: ignore[assignment]
        #: The average that validated best; its step and mean PSNR, dB. ``None``: no validation yet.
        self.best, self.best_at = copy.deepcopy(self.average), cast("tuple[int, float] | None", None)
        #: Sum and number of the losses since the last validation.
        self.loss_sum, self.loss_count = torch.zeros((), device=device), 0

    @property
    def parameters(self) -> int:
        """Number of parameters of the network."""
        return sum(p.numel() for p in self.network.parameters())

    def learn(self, crops: Tensor) -> None:
        """One optimisation step on ``crops``, float32 (batch, C, crop, crop), white is 1."""
        share = self.config.learning_rate_at(self.step) / self.config.learning_rate
        loss = self._loss(crops)
        self.network.zero_grad(set_to_none=True)
        loss.backward()
        nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip)
        for optimizer in self.optimizers:
            for group in optimizer.param_groups:
                group["lr"] = share * optimizer.defaults["lr"]
            optimizer.step()
        self.step += 1
        self._update_average()
        self.loss_sum += loss.detach()
        self.loss_count += 1

    def mean_loss(self) -> float:
        """Mean loss since the last validation.

        :raises FloatingPointError: it is not finite.
        """
        loss = float(self.loss_sum) / max(1, self.loss_count)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {self.step}; lower learning_rate and start again.")
        return loss

    @property
    def result(self) -> DAE:
        """The average that validated best; before the first validation, the present one."""
        return self.average if self.best_at is None else self.best

    def note(self, figures: dict[str, float]) -> None:
        """Record validation figures, dB by noise level, keep the average if it is the best, restart the mean loss."""
        loss = {"loss": self.mean_loss()} if self.loss_count else {}
        self.history.append({"step": self.step, **loss, **figures})
        psnr = sum(figures.values()) / len(figures)
        if self.best_at is None or psnr > self.best_at[1]:
            self.best.load_state_dict(self.average.state_dict())
            self.best_at = self.step, psnr
        self.loss_sum.zero_()
        self.loss_count = 0

    def start_from(self, source: DAE) -> None:
        """Copy the weights of a trained network, adapted to the channels of this one.

        :raises ValueError: it has another architecture.
        """
        if not fits(source, self.network):
            raise ValueError(f"start_from: its configuration {source.config()} is not that of this run.")
        weights = with_channels(source, self.network.in_channels).state_dict()
        for network in (self.network, self.average, self.best):
            network.load_state_dict(weights)

    def _update_average(self) -> None:
        """Update the moving average of parameters and statistics; its window starts short, so it forgets the start."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        states = zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True)
        means, values = zip(*(pair for pair in states if pair[0].is_floating_point()), strict=True)
        get_ema_multi_avg_fn(decay)(means, values, None)

    def _loss(self, crops: Tensor) -> Tensor:
        """Mean squared error on the noise (residual learning), weighted by level for a noise-conditional network."""
        config, device = self.config, self.device
        rng = torch.Generator(device).manual_seed(config.seed * 1_000_003 + self.step)
        clean = crops.to(device, non_blocking=True)
        noise = torch.randn(clean.shape, generator=rng, device=device)
        if self.network.sigma_range is not None:
            low, high = self.network.sigma_range
            level = low + (high - low) * torch.rand(clean.shape[0], 1, 1, 1, generator=rng, device=device)
            weight = ((high + config.level_offset) / (level + config.level_offset)) ** config.level_power / high**2
        else:
            level = torch.full((clean.shape[0], 1, 1, 1), self.network.sigma or 0.0, device=device)
            weight = 1 / level.square()
        seen = randomly_blurred(clean, config.blur, rng) if config.blur else clean
        noisy = (seen + level * noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16):
            denoised = self._forward(noisy, level)
        return (weight * (denoised.float() - clean).square()).mean()


def fits(source: DAE, network: DAE) -> bool:
    """Whether the training of ``network`` can start from the weights of ``source``."""
    one, other = ({k: v for k, v in n.config().items() if k not in FREE} for n in (source, network))
    return one == other and source.conditional == network.conditional


def _optimizers(network: DAE, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Muon for the kernels between feature channels, Adam for all other parameters."""
    kernels: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in network.parameters():
        # the first and the last kernel have as few channels as an image
        few = max(RGB, network.in_channels) + 1
        (kernels if parameter.ndim == 4 and min(parameter.shape[:2]) > few else rest).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if kernels:
        optimizers.append(Muon(kernels, lr=config.muon_learning_rate))
    if rest:
        optimizers.append(torch.optim.Adam(rest, lr=config.learning_rate, betas=(0.9, 0.999)))
    return optimizers
