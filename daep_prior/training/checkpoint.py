"""Checkpoints of a training run: with one, a run resumes to the same bits."""

from __future__ import annotations

import json
import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from daep_prior.pretrained import read_safetensors, write_safetensors
from daep_prior.training.muon import Muon
from daep_prior.training.run import TrainingRun

__all__ = ["OtherSettings", "checkpoint_path", "load_checkpoint", "save_checkpoint"]

CHECKPOINT_FORMAT = "daep-prior-checkpoint/2"


class OtherSettings(ValueError):
    """A checkpoint belongs to a run with other settings.

    :param dict settings: those that differ: name in :class:`daep_prior.training.TrainingConfig` -> value of that run.
    """

    def __init__(self, path: Path, settings: dict[str, Any]):
        super().__init__(
            f"{path}: belongs to a run with another {', '.join(settings)}; "
            "give the same settings, or another output file to start anew."
        )
        self.path, self.settings = path, settings


def checkpoint_path(output: Path) -> Path:
    """The checkpoint file of a run that writes its weights to ``output``."""
    return output.with_name(f"{output.stem}.checkpoint.safetensors")


def save_checkpoint(run: TrainingRun, path: Path) -> None:
    """Write a checkpoint, unless it would overwrite a good one with numbers that are not finite.

    :raises FloatingPointError: weights or loss are not finite.
    """
    if not all(bool(t.isfinite().all()) for t in (run.loss_sum, *run.network.state_dict().values())):
        raise FloatingPointError(
            f"the loss or the weights are no longer finite at step {run.step}; lower learning_rate and start "
            f"again (the last good checkpoint, if there is one, is {path})."
        )
    state = {
        "step": run.step,
        "seconds": run.seconds,
        "history": run.history,
        "loss_sum": float(run.loss_sum),
        "loss_count": run.loss_count,
        "best_at": run.best_at,
        "config": asdict(run.config),
    }
    write_safetensors(_tensors(run), path, {"format": CHECKPOINT_FORMAT, "state": json.dumps(state)})


def load_checkpoint(run: TrainingRun, path: Path) -> None:
    """Continue from a checkpoint. Of the settings, only ``steps`` may have changed since it was written.

    :raises OtherSettings: it has other settings, a ``ValueError``.
    :raises ValueError: not a checkpoint, or a damaged one.
    """
    tensors, metadata = read_safetensors(path)
    state = _state(metadata, path)
    now = json.loads(json.dumps(asdict(run.config)))
    changed = sorted(k for k in now if k != "steps" and now[k] != state["config"].get(k))
    if changed:
        raise OtherSettings(path, {name: state["config"].get(name) for name in changed})
    for name, target in _tensors(run).items():
        if name not in tensors or tensors[name].shape != target.shape:
            raise ValueError(f"{path}: a damaged training checkpoint ({name} is missing or misshapen).")
        if not bool(tensors[name].isfinite().all()):
            raise ValueError(f"{path}: a damaged training checkpoint ({name} contains numbers that are not finite).")
        with torch.no_grad():
            target.copy_(tensors[name])
    run.step, run.seconds, run.history = state["step"], state["seconds"], state["history"]
    run.loss_sum.fill_(state["loss_sum"])
    run.loss_count = state["loss_count"]
    run.best_at = state["best_at"]


def _tensors(run: TrainingRun) -> dict[str, Tensor]:
    """Weights, averages and optimizer states by name. A parameter that was never updated gets a state of zeros."""
    tensors = {
        f"{prefix}.{key}": value
        for prefix, module in (("network", run.network), ("average", run.average), ("best", run.best))
        for key, value in module.state_dict().items()
        if not key.endswith("num_batches_tracked")
    }
    names = {parameter: name for name, parameter in run.network.named_parameters()}
    for optimizer in run.optimizers:
        for parameter in (p for group in optimizer.param_groups for p in group["params"]):
            state = optimizer.state[parameter]
            if not state:
                moments = ("mean",) if isinstance(optimizer, Muon) else ("exp_avg", "exp_avg_sq")
                state.update({key: torch.zeros_like(parameter) for key in moments})
                if not isinstance(optimizer, Muon):
                    state["step"] = torch.zeros(())
            tensors |= {f"optimizer.{key}.{names[parameter]}": value for key, value in state.items()}
    return tensors


def _state(metadata: dict[str, str], path: Path) -> dict[str, Any]:
    """The checked state of a checkpoint, without its tensors."""
    if metadata.get("format") != CHECKPOINT_FORMAT:
        raise ValueError(f"{path}: not a training checkpoint of this version.")
    try:
        state = json.loads(metadata["state"])
        kinds: dict[str, Any] = {
            "step": int, "seconds": float, "history": list, "loss_sum": float, "loss_count": int, "config": dict
        }  # fmt: skip
        best_at = None if state["best_at"] is None else (int(state["best_at"][0]), float(state["best_at"][1]))
        state = {key: kind(state[key]) for key, kind in kinds.items()} | {"best_at": best_at}
        numbers = [state[key] for key in ("step", "seconds", "loss_count")]
        sums = [state["loss_sum"], 0.0 if best_at is None else best_at[1]]
        if not all(0 <= number < math.inf for number in numbers) or not all(map(math.isfinite, sums)):
            raise ValueError(f"step, seconds, losses {numbers}, their sum and the best PSNR {sums}")
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"{path}: a damaged training checkpoint ({error!r}).") from error
    return state
