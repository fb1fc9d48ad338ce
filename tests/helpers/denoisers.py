"""Small networks and images for the tests of several packages; a ``conftest.py`` imports the fixtures it needs."""

import pytest
import torch
from deepinv.models.base import Denoiser
from torch import nn

from daep_deepinv import DAEDenoiser
from daep_prior import DAE, ConvDAE, UNetDAE

#: Share of the difference to its local mean that a smoother takes from a pixel.
SMOOTHING = 1.0


class Spy(Denoiser):
    """Counts its evaluations; answers by ``behaviour(x)``, at first a mild shrinkage towards grey."""

    in_channels = 3

    def __init__(self, behaviour=lambda x: 0.9 * x + 0.05):
        super().__init__()
        self.behaviour = behaviour
        self.evaluations = 0

    def forward(self, x, sigma=None, **kwargs):
        self.evaluations += 1
        return self.behaviour(x)


def set_smoothing(dae: DAE) -> DAE:
    """Give a network the weights with which it blurs a little: ``r(x) = -SMOOTHING (x - local mean)`` exactly.

    Its Jacobian is symmetric with eigenvalues in [0, 1], so that plug-and-play and RED solvers provably converge; in
    float32, because bf16 convolutions leave a residual of 1e-4 to 2e-3 in any fixed-point iteration.
    """
    stencil = torch.tensor([[1.0, 2.0, 1.0], [2.0, 4.0, 2.0], [1.0, 2.0, 1.0]]) / 16
    stencil[1, 1] -= 1
    with torch.no_grad():
        for parameter in dae.body.parameters():
            parameter.zero_()
        if isinstance(dae, ConvDAE):  # depth 2: relu(a) - relu(-a) = a
            first, last = dae.body[0], dae.body[-1]
            for channel in range(3):
                for k, sign in enumerate((1, -1)):
                    first.weight[2 * channel + k, channel] = sign * stencil
                    last.weight[channel, 2 * channel + k, 1, 1] = sign * SMOOTHING
        else:
            for channel in range(3):
                dae.body.head.weight[channel, channel] = stencil
                dae.body.tail.weight[channel, channel, 1, 1] = SMOOTHING
    dae.compute_dtype = torch.float32
    return dae.fold()


SMOOTHERS = {
    "conv": lambda: ConvDAE(depth=2, width=6, batch_norm=False),
    "unet": lambda: UNetDAE(widths=(4, 8), blocks=1),
}


SMALL_NETWORKS = {
    "conv": lambda: ConvDAE(depth=4, width=8).fold(),
    "unet": lambda: UNetDAE(widths=(4, 8), blocks=1).fold(),
}


@pytest.fixture(params=SMALL_NETWORKS)
def network(request):
    """Both architectures, small and untrained."""
    torch.manual_seed(0)
    return SMALL_NETWORKS[request.param]()


@pytest.fixture
def unet():
    """A small noise-conditional network."""
    torch.manual_seed(0)
    return SMALL_NETWORKS["unet"]()


@pytest.fixture
def conv():
    """A small network for one level, 25/255."""
    torch.manual_seed(0)
    return SMALL_NETWORKS["conv"]()


@pytest.fixture(params=SMOOTHERS)
def smoother(request):
    """Both architectures as denoisers that are averaging linear filters."""
    return DAEDenoiser(set_smoothing(SMOOTHERS[request.param]()))


@pytest.fixture
def make_smoother():
    """The function of the fixture ``smoother``, by the name of the architecture."""
    return lambda name: DAEDenoiser(set_smoothing(SMOOTHERS[name]()))


@pytest.fixture
def make_spy():
    """The class :class:`Spy`."""
    return Spy


@pytest.fixture
def images():
    """``images(B, C, H, W)``: smooth colour images with an edge, values inside (0, 1)."""

    def make(count=1, channels=3, height=16, width=16, dtype=torch.float32, seed=0):
        generator = torch.Generator().manual_seed(seed)
        coarse = torch.rand(count, channels, 4, 4, dtype=dtype, generator=generator)
        smooth = nn.functional.interpolate(coarse, size=(height, width), mode="bilinear", align_corners=False)
        edge = torch.zeros(height, width, dtype=dtype)
        edge[:, width // 2 :] = 0.2
        return (0.7 * smooth + edge).clamp(0.02, 0.98)

    return make
