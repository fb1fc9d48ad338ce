"""A trained network for images of another number of channels."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daep_prior.networks.build import build_network
from daep_prior.networks.dae import DAE

__all__ = ["with_channels"]


def with_channels(dae: DAE, channels: int) -> DAE:
    """The network with its first and last convolution changed for ``channels``, to be trained further.

    It shows the images ``x`` to the old network as ``E x``, see :func:`_shown_as`, and returns ``x + E^+ r(E x)`` with
    the old residual ``r`` and the pseudo-inverse ``E^+``. A colour network for grey images thus starts as the colour
    network that sees three equal channels and averages its outputs.

    :param DAE dae: network in its training form; it remains as it is.
    :param int channels: of the images of the new network.
    :raises ValueError: no channel.
    """
    config = dae.config() | {"channels": channels}
    new = build_network(config).to(next(dae.parameters()))
    weights = {name: value.clone() for name, value in dae.state_dict().items()}
    shown = _shown_as(channels, dae.channels).to(next(dae.parameters()))
    back = torch.linalg.pinv(shown)
    names = [name for name, m in dae.body.named_modules() if isinstance(m, nn.Conv2d | nn.ConvTranspose2d)]
    first, last = f"body.{names[0]}", f"body.{names[-1]}"
    image, level = weights[f"{first}.weight"].split([dae.channels, int(dae.conditional)], 1)
    image = torch.einsum("omhw,mn->onhw", image, shown)
    # E turns white noise of level s into noise of this level, as :func:`daep_prior.images.replicated_level` has it
    gain = shown.norm() / min(shown.shape) ** 0.5
    weights[f"{first}.weight"] = torch.cat([image, gain * level], 1)
    for name in (f"{last}.weight", f"{last}.bias"):
        if name in weights:
            weights[name] = torch.einsum("nm,m...->n...", back, weights[name])
    new.load_state_dict(weights)
    return new.train(dae.training)


def _shown_as(given: int, shown: int) -> Tensor:
    """``E``, (shown, given): one channel in all; two, with their mean between them; of many the means of groups."""
    channels = torch.eye(given)[None]
    if given < shown:
        return F.interpolate(channels, shown, mode="linear", align_corners=True)[0].mT
    return F.adaptive_avg_pool1d(channels, shown)[0].mT
