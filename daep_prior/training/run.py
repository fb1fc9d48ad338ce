"""The state of a training run, its optimisation step, and its checkpoint."""

from __future__ import annotations

import copy
import json
import math
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn

from daep_prior.images import RGB
from daep_prior.inference import fast_dtype
from daep_prior.networks import DAE, build_network
from daep_prior.pretrained import read_safetensors, write_safetensors
from daep_prior.training.config import TrainingConfig
from daep_prior.training.muon import Muon

__all__ = ["TrainingRun", "checkpoint_path"]

CHECKPOINT_FORMAT = "daep-prior-checkpoint/1"


def checkpoint_path(output: Path) -> Path:
    """Where the checkpoint of a run stands that writes its weights to ``output``."""
    return output.with_name(f"{output.stem}.checkpoint.safetensors")


class TrainingRun:
    """A training run as it stands, with all that a checkpoint holds, and the step that takes it on.

    :param TrainingConfig config: what it is.
    :param torch.device device: where it computes.
    :param bool compiled: use ``torch.compile``.
    """

    def __init__(self, config: TrainingConfig, device: torch.device, compiled: bool = False):
        self.config, self.device = config, device
        with torch.random.fork_rng(devices=[]):  # the user's own random numbers go on undisturbed
            torch.default_generator.manual_seed(config.seed)
            network = build_network(config.network)
        self.network = network.to(device).to(memory_format=torch.channels_last).train()
        self.average: DAE = copy.deepcopy(self.network).eval().requires_grad_(False)
        self.optimizers = _optimizers(self.network, config)
        self.step = 0
        self.seconds = 0.0
        self.history: list[dict[str, float]] = []
        self._forward: nn.Module = torch.compile(self.network) if compiled else self.network  # type: ignore[assignment]
        # of the steps since the last validation line
        self.loss_sum, self.loss_count = torch.zeros((), device=device), 0

    def learn(self, crops: Tensor) -> None:
        """One optimisation step on ``crops``, uint8 (batch, 3, crop, crop)."""
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
        """Since the last validation.

        :raises FloatingPointError: it is no longer a number.
        """
        loss = float(self.loss_sum) / max(1, self.loss_count)
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss is {loss} at step {self.step}; lower learning_rate and start again.")
        return loss

    def note(self, figures: dict[str, float]) -> None:
        """Take down validation figures, dB by noise level, and start the mean loss anew."""
        self.history.append({"step": self.step, "loss": self.mean_loss(), **figures})
        self.loss_sum.zero_()
        self.loss_count = 0

    def save(self, path: Path) -> None:
        """Write the checkpoint, unless that would overwrite a good one with numbers that are no longer finite.

        :raises FloatingPointError: weights or loss are not finite.
        """
        if not all(bool(t.isfinite().all()) for t in (self.loss_sum, *self.network.state_dict().values())):
            raise FloatingPointError(
                f"the loss or the weights are no longer finite at step {self.step}; lower learning_rate and start "
                f"again (the last good checkpoint, if there is one, is {path})."
            )
        tensors: dict[str, Tensor] = {}
        for prefix, module in (("network", self.network), ("average", self.average)):
            tensors.update({f"{prefix}.{k}": v for k, v in module.state_dict().items()})
        for name, parameter in self.network.named_parameters():
            for optimizer in self.optimizers:
                for key, value in optimizer.state.get(parameter, {}).items():
                    tensors[f"optimizer.{key}.{name}"] = torch.as_tensor(value)
        state = {
            "step": self.step,
            "seconds": self.seconds,
            "history": self.history,
            "loss_sum": float(self.loss_sum),
            "loss_count": self.loss_count,
            "config": asdict(self.config),
        }
        write_safetensors(tensors, path, {"format": CHECKPOINT_FORMAT, "state": json.dumps(state)})

    def load(self, path: Path) -> None:
        """Continue from ``path``; ``steps`` may have been changed since, nothing else."""
        tensors, metadata = read_safetensors(path)
        if metadata.get("format") != CHECKPOINT_FORMAT:
            raise ValueError(f"{path}: not a training checkpoint of this version.")
        try:
            state = json.loads(metadata["state"])
            before = dict(state["config"])
            step, history = int(state["step"]), list(state["history"])
            seconds, loss_sum, loss_count = (
                float(state["seconds"]),
                float(state.get("loss_sum", 0)),
                int(state.get("loss_count", 0)),
            )
            if step < 0 or loss_count < 0 or not (0 <= seconds < math.inf and math.isfinite(loss_sum)):
                raise ValueError(f"step {step}, {seconds} seconds, loss {loss_sum} of {loss_count}")
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{path}: a damaged training checkpoint ({error!r}).") from error
        now = json.loads(json.dumps(asdict(self.config)))
        changed = sorted(k for k in now if k != "steps" and now[k] != before.get(k))
        if changed:
            raise ValueError(
                f"{path}: belongs to a run with another {', '.join(changed)}; "
                "give the same settings, or another output file to start anew."
            )

        def fill(target: Tensor, name: str) -> None:
            if name not in tensors or tensors[name].shape != target.shape:
                raise ValueError(f"{path}: a damaged training checkpoint ({name} is missing or misshapen).")
            if not bool(tensors[name].isfinite().all()):
                raise ValueError(f"{path}: a damaged training checkpoint ({name} holds numbers that are not finite).")
            target.copy_(tensors[name])

        with torch.no_grad():
            for prefix, module in (("network", self.network), ("average", self.average)):
                for name, target in module.state_dict().items():
                    if not name.endswith("num_batches_tracked"):
                        fill(target, f"{prefix}.{name}")
            names = {parameter: name for name, parameter in self.network.named_parameters()}
            for optimizer in self.optimizers:
                for parameter in (p for group in optimizer.param_groups for p in group["params"]):
                    # the moments take the parameter's memory layout, as in the run that was interrupted
                    if isinstance(optimizer, Muon):
                        entry = {"mean": torch.empty_like(parameter)}
                    else:
                        entry = {key: torch.empty_like(parameter) for key in ("exp_avg", "exp_avg_sq")}
                        entry["step"] = torch.zeros(())
                    for key, target in entry.items():
                        fill(target, f"optimizer.{key}.{names[parameter]}")
                    optimizer.state[parameter] = entry
        self.step, self.history, self.seconds = step, history, seconds
        self.loss_sum.fill_(loss_sum)
        self.loss_count = loss_count

    def start_from(self, source: DAE) -> None:
        """Take the weights of a trained network.

        :raises ValueError: it is another architecture.
        """
        if json.dumps(source.config()) != json.dumps(self.network.config()):
            raise ValueError(f"start_from: its configuration {source.config()} is not that of this run.")
        for network in (self.network, self.average):
            network.load_state_dict(source.state_dict())

    def _update_average(self) -> None:
        """Moving average of parameters and normalisation statistics; short at first, so it forgets the start."""
        decay = min(self.config.ema, (1 + self.step) / (10 + self.step))
        states = zip(self.average.state_dict().values(), self.network.state_dict().values(), strict=True)
        means, values = zip(*(pair for pair in states if pair[0].is_floating_point()), strict=True)
        get_ema_multi_avg_fn(decay)(means, values, None)

    def _loss(self, crops: Tensor) -> Tensor:
        """Mean squared error on the noise (residual learning), weighted by level for a noise-conditional network."""
        config, device = self.config, self.device
        rng = torch.Generator(device).manual_seed(config.seed * 1_000_003 + self.step)
        clean = crops.to(device, non_blocking=True).float() / 255
        noise = torch.randn(clean.shape, generator=rng, device=device)
        if self.network.sigma_range is not None:
            low, high = self.network.sigma_range
            level = low + (high - low) * torch.rand(clean.shape[0], 1, 1, 1, generator=rng, device=device)
            weight = ((high + config.level_offset) / (level + config.level_offset)) ** config.level_power / high**2
        else:
            level = torch.full((clean.shape[0], 1, 1, 1), self.network.sigma or 0.0, device=device)
            weight = 1 / level.square()
        noisy = (clean + level * noise).contiguous(memory_format=torch.channels_last)
        with torch.autocast(device.type, torch.bfloat16, enabled=fast_dtype(device) == torch.bfloat16):
            denoised = self._forward(noisy, level)
        return (weight * (denoised.float() - clean).square()).mean()


def _optimizers(network: DAE, config: TrainingConfig) -> list[torch.optim.Optimizer]:
    """Muon for the kernels between feature channels, Adam for the rest: each parameter is in one of them."""
    kernels: list[nn.Parameter] = []
    rest: list[nn.Parameter] = []
    for parameter in network.parameters():
        # the first and the last kernel have as few channels as an image
        between_features = parameter.ndim == 4 and min(parameter.shape[:2]) > RGB + 1
        (kernels if between_features and config.optimizer == "muon" else rest).append(parameter)
    optimizers: list[torch.optim.Optimizer] = []
    if kernels:
        optimizers.append(Muon(kernels, lr=config.muon_learning_rate))
    if rest:
        optimizers.append(torch.optim.Adam(rest, lr=config.learning_rate, betas=(0.9, 0.999)))
    return optimizers
