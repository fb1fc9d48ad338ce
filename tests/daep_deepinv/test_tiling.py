"""``tile=``: the prior and the restoration do not depend on it."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv import DAEP, DAEPrior, degradation
from daep_prior import ConvDAE, UNetDAE
from daep_prior.tiling import tiler

WIDTH = 25 / 255
NETWORKS = {
    "conv": lambda: ConvDAE(depth=4, width=6, batch_norm=False),
    "unet": lambda: UNetDAE(widths=(4, 8), blocks=1),
}


@pytest.fixture(params=NETWORKS)
def network(request):
    torch.manual_seed(0)
    made = NETWORKS[request.param]()
    made.compute_dtype = torch.float32
    return made.eval().requires_grad_(False)


@pytest.fixture
def largest(network):
    """``largest()`` is the most pixels that the network was shown at once since it was last asked."""
    seen = [0]
    network.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0][:, 0].numel()))

    def ask():
        most = max(seen)
        seen[:] = [0]
        return most

    return ask


@pytest.mark.parametrize("arguments", [{}, {"jacobian": False}, {"noise": "fixed"}])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_prior_in_tiles_sees_the_same_noise(network, largest, images, arguments, channels):
    x = images(2, channels, 45, 38)
    whole, tiled = (DAEPrior(network, tile=tile, **arguments) for tile in (None, 16))
    results = []
    for prior in (whole, tiled):
        results.append((prior.grad(x, WIDTH), prior.grad(x, WIDTH), prior(x, WIDTH), prior.denoise(x, WIDTH)))
        assert (largest() == x[:, 0].numel()) == (prior is whole)
    for ours, theirs in zip(*results, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


PHYSICS = {
    "valid blur": lambda size: degradation(torch.ones(3, 5), sigma=0.01, img_size=size),
    "super-resolution": lambda size: degradation(factor=2, img_size=size),
    "missing pixels": lambda size: dinv.physics.Inpainting(size, mask=0.5),
}


@pytest.mark.parametrize("name", PHYSICS)
@pytest.mark.parametrize("preset", ["annealed", "paper"])
def test_a_restoration_in_tiles_is_the_whole_one(network, largest, images, name, preset):
    x = images(1, 3, 70, 62)
    physics = PHYSICS[name](x.shape[1:])
    y = physics(x)
    results = []
    for tile in (None, 16):
        model = DAEP(sigma=0.01, preset=preset, denoiser=network, max_iter=3, tile=tile)
        results.append(model(y, physics))
        assert (largest() < x[0, 0].numel()) == (tile == 16)
    assert torch.allclose(*results, rtol=0, atol=1e-4)


def test_a_full_memory_is_noticed_at_each_restoration(network, largest, images, monkeypatch):
    x = images(1, 3, 150, 140)
    physics = dinv.physics.Denoising(dinv.physics.GaussianNoise(0.1))
    model = DAEP(denoiser=network, max_iter=1)
    for free, tiled in ((2**20, True), (2**50, False), (2**20, True)):
        monkeypatch.setattr(tiler, "free_memory", lambda device, free=free: free)
        model(physics(x), physics)
        assert (largest() < x[0, 0].numel()) == tiled


def test_a_tile_that_is_no_size_is_refused_by_the_reconstructor_too():
    with pytest.raises(ValueError, match="tile: got 'large'"):
        DAEP(tile="large")
