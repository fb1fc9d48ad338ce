"""Folding the normalisation and computing convolutions in bf16 must not be visible in a restored photograph."""

from pathlib import Path

import numpy as np
import pytest
import skimage
import torch
from deepinv.loss.metric import PSNR
from PIL import Image

from daep_deepinv import DAEP, degradation
from daep_prior import load_dae
from daep_prior.pretrained import read_training_form

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
    x = DAEP(SIGMA, preset, network, iterations)(y, physics)
    return float(PSNR()(x[..., 2:-2, 2:-2], clean[..., 2:-2, 2:-2]))


@pytest.mark.parametrize(("name", "preset", "iterations"), [("dae", "annealed", 30), ("dae-sigma25", "paper", 60)])
def test_bf16_is_not_visible_in_the_restoration(name, preset, iterations, blurred):
    psnr = {}
    for dtype in (torch.float32, torch.bfloat16):
        network = load_dae(name)
        network.compute_dtype = dtype
        psnr[dtype] = restored_psnr(network, preset, iterations, blurred)
    blur = float(PSNR()(blurred[1], blurred[0][..., 2:-2, 2:-2]))
    assert psnr[torch.float32] > blur + 2, "the comparison means something only if the restoration works"
    assert abs(psnr[torch.float32] - psnr[torch.bfloat16]) <= INVISIBLE


def test_folding_is_not_visible_in_the_restoration(blurred):
    folded = load_dae("dae-sigma25")
    training_form = read_training_form("dae-sigma25").eval().requires_grad_(False)
    assert any(isinstance(m, torch.nn.BatchNorm2d) for m in training_form.modules())
    for network in (folded, training_form):
        network.compute_dtype = torch.float32
    one, other = (restored_psnr(network, "paper", 30, blurred) for network in (folded, training_form))
    assert abs(one - other) <= INVISIBLE
