"""Folding the normalisation and computing convolutions in bf16 must not be visible in a restored photograph."""

from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from deepinv.loss.metric import PSNR
from PIL import Image

from daep_deepinv import DAEP, degradation
from daep_prior import ConvDAE, load_dae

SIGMA = 2.55 / 255
#: dB that number type and folding may cost together
INVISIBLE = 0.03


@pytest.fixture(scope="module")
def blurred():
    photo = np.asarray(Image.open(Path(skimage.__file__).parent / "data" / "astronaut.png").convert("RGB"))
    clean = torch.from_numpy(photo[60:148, 180:268].copy()).permute(2, 0, 1)[None].float() / 255
    physics = degradation(np.ones((5, 5)), sigma=SIGMA)
    noise = torch.randn((1, 3, 84, 84), generator=torch.Generator().manual_seed(0))
    return clean, physics.A(clean) + SIGMA * noise, physics


def restored_psnr(network, preset, iterations, blurred) -> float:
    clean, y, physics = blurred
    x = DAEP(SIGMA, network, preset, iterations)(y, physics)
    return float(PSNR()(x[..., 2:-2, 2:-2], clean[..., 2:-2, 2:-2]))


@pytest.mark.parametrize(("name", "preset", "iterations"), [("dae", "annealed", 28), ("dae-sigma25", "paper", 60)])
def test_bf16_is_not_visible_in_the_restoration(name, preset, iterations, blurred):
    psnr = {}
    for dtype in (torch.float32, torch.bfloat16):
        network = load_dae(name)
        network.compute_dtype = dtype
        psnr[dtype] = restored_psnr(network, preset, iterations, blurred)
    blur = float(PSNR()(blurred[1], blurred[0][..., 2:-2, 2:-2]))
    assert psnr[torch.float32] > blur + 2, "the comparison means something only if the restoration works"
    assert abs(psnr[torch.float32] - psnr[torch.bfloat16]) <= INVISIBLE


def normalised(network):
    """The training form, with some statistics of normalisation, of which ``network`` is the folded one."""
    dae = ConvDAE(network.sigma, network.depth, network.width, batch_norm=True)
    layers, rng = iter(dae.body), torch.Generator().manual_seed(0)
    with torch.no_grad():
        for conv in (layer for layer in network.body if isinstance(layer, torch.nn.Conv2d)):
            target = next(layer for layer in layers if isinstance(layer, torch.nn.Conv2d))
            target.weight.copy_(conv.weight)
            if target.bias is not None:
                target.bias.copy_(conv.bias)
                continue
            norm = next(layers)
            norm.running_mean.normal_(generator=rng)
            norm.running_var.uniform_(0.1, 3, generator=rng)
            norm.weight.uniform_(0.5, 2, generator=rng)
            scale = norm.weight / (norm.running_var + norm.eps).sqrt()
            target.weight.div_(scale.reshape(-1, 1, 1, 1))
            norm.bias.copy_(conv.bias + norm.running_mean * scale)
    return dae.eval().requires_grad_(False)


def test_folding_is_not_visible_in_the_restoration(blurred):
    training_form = normalised(load_dae("dae-sigma25"))
    assert sum(isinstance(m, torch.nn.BatchNorm2d) for m in training_form.modules()) == training_form.depth - 2
    psnr = []
    for network in (training_form.fold(), training_form):
        network.compute_dtype = torch.float32
        psnr.append(restored_psnr(network, "paper", 12, blurred))
    blur = float(PSNR()(blurred[1], blurred[0][..., 2:-2, 2:-2]))
    assert psnr[0] > blur + 0.5, "the comparison means something only if the restoration works"
    assert abs(psnr[0] - psnr[1]) <= INVISIBLE
