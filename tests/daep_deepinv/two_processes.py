"""What ``test_distributed.py`` starts under torchrun: the checks are here, where both processes are."""

import runpy
import sys
from pathlib import Path

import pytest
import torch
from deepinv.distributed import DistributedContext, distribute

from daep_deepinv import DAEP, degradation
from daep_prior import load_dae

folder, example, weights = (Path(argument) for argument in sys.argv[1:])


def run(distributed, ctx, **kwargs):
    """The restored image, and how many pixels the network of this process was shown."""
    torch.manual_seed(0)
    y = torch.rand(1, 3, 44, 52, generator=torch.Generator().manual_seed(1))
    physics = degradation(torch.ones(3, 5), sigma=0.02)
    network = load_dae(weights)
    seen = []
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][0, 0].numel()))
    model = DAEP(denoiser=network, max_iter=2, tile=None, **kwargs)
    if distributed:
        model.prior.denoiser = distribute(model.prior.denoiser, ctx, patch_size=16)
    return model(y, physics), max(seen)


with DistributedContext(device_mode="cpu") as ctx:
    assert ctx.world_size == 2
    for arguments in ({}, {"jacobian": False}, {"crit_conv": "cost", "early_stop": True, "thres_conv": 1e-9}):
        whole, pixels = run(False, ctx, **arguments)
        shared, pixels_of_a_tile = run(True, ctx, **arguments)
        assert pixels_of_a_tile < pixels
        assert (shared - whole).abs().max() < 1e-4, (shared - whole).abs().max()
        assert whole.std() > 0.01

    common = ["--noise", "10", "--iterations", "2", "--tile", "32", "--denoiser", str(weights)]
    for source, output in (("photos/0.png", "one.png"), ("photos", "many")):
        sys.argv = [str(example), str(folder / source), "-o", str(folder / output), *common]
        runpy.run_path(str(example), run_name="__main__")

    model = DAEP(denoiser=load_dae(weights))
    prior = model.prior
    prior.denoiser = distribute(prior.denoiser, ctx, patch_size=16)
    # deepinv would add up this gradient wrongly
    with pytest.raises(ValueError, match="jacobian"):
        prior.grad(torch.rand(1, 3, 32, 32, requires_grad=True), 0.1)
sys.stdout.write("agreed\n")
