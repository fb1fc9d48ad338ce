"""Networks whose answer is known, and the fixtures that deepinv's own tests ask for."""

import io
import sys
from pathlib import Path

import deepinv
import numpy as np
import pytest
import torch
from deepinv.models.base import Denoiser
from PIL import Image
from torch import nn

from daep_deepinv import DAEDenoiser
from daep_prior import DAE, ConvDAE, UNetDAE, load_dae, shipped_networks

# deepinv's tests lie inside the package and import `dummy` from their own folder
sys.path.append(str(Path(deepinv.__file__).parent / "tests"))

#: Share of the difference to its local mean that a smoother takes from a pixel.
SMOOTHING = 1.0


class GaussianDenoiser(Denoiser):
    """The optimal denoiser of a Gaussian image density, ``A_s(x) = m + C (C + s^2 I)^-1 (x - m)``: affine, so every
    minimiser that a solver looks for is known. Float64.

    :param tuple shape: (C, H, W).
    """

    def __init__(self, shape, scale=0.02, seed=0):
        super().__init__()
        count = int(torch.tensor(shape).prod())
        generator = torch.Generator().manual_seed(seed)
        root = torch.randn(count, count, dtype=torch.float64, generator=generator)
        covariance = scale * (root @ root.T / count + 0.3 * torch.eye(count, dtype=torch.float64))
        values, vectors = torch.linalg.eigh(covariance)
        self.register_buffer("values", values)
        self.register_buffer("vectors", vectors)
        self.register_buffer("mean", 0.5 + 0.05 * torch.randn(count, dtype=torch.float64, generator=generator))
        self.in_channels = shape[0]

    def residual_matrix(self, sigma):
        """``s^2 (C + s^2 I)^-1``, which takes ``x - m`` to ``x - A_s(x)``."""
        return self.vectors @ torch.diag(sigma**2 / (self.values + sigma**2)) @ self.vectors.T

    def forward(self, x, sigma=None, **kwargs):
        level = torch.as_tensor(sigma, dtype=x.dtype).reshape(-1, 1)
        coefficients = (x.flatten(1) - self.mean) @ self.vectors * (self.values / (self.values + level**2))
        return (self.mean + coefficients @ self.vectors.T).view_as(x)


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
def make_gaussian():
    """The class :class:`GaussianDenoiser`."""
    return GaussianDenoiser


@pytest.fixture
def make_spy():
    """The class :class:`Spy`."""
    return Spy


@pytest.fixture
def shipped():
    """``shipped(name)``: the trained network, or the test is skipped while there is none."""

    def load(name):
        if name not in shipped_networks():
            pytest.skip(f"{name} is not among the shipped networks")
        return load_dae(name)

    return load


@pytest.fixture(params=["dae", "dae-sigma25", "the authors'"])
def trained(request, shipped):
    """Each trained network there is: the shipped ones, and the paper authors' where the data folder is."""
    if request.param in ("dae", "dae-sigma25"):
        return shipped(request.param)
    pytest.importorskip("google.protobuf")
    return load_dae(request.getfixturevalue("data_folder") / "reference" / "DAE_sigma25.caffemodel")


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


# -- what deepinv's tests take from their own conftest.py --------------------------------------------------------


@pytest.fixture
def device():
    return torch.device("cpu")


@pytest.fixture
def imsize():
    return 3, 37, 31


@pytest.fixture
def imsize_1_channel():
    return 1, 37, 31


@pytest.fixture
def dummy_dataset(imsize):
    from dummy import DummyCircles

    return DummyCircles(samples=2, imsize=imsize)


@pytest.fixture
def rng(device):
    return torch.Generator(device).manual_seed(0)


# -- a blurred photograph, for what its noise shows --------------------------------------------------------------------


@pytest.fixture
def photograph():
    """A face, (1, 3, 112, 112)."""
    skimage = pytest.importorskip("skimage")
    image = torch.from_numpy(skimage.data.astronaut()[40:152, 160:272].copy())
    return image.permute(2, 0, 1)[None].float() / 255


@pytest.fixture(scope="session")
def kernel():
    """A short horizontal motion."""
    k = torch.zeros(1, 1, 7, 7)
    k[..., 3, 1:6] = 0.2
    return k


@pytest.fixture(scope="session")
def as_jpeg():
    """A measurement (1, 3, h, w) as it comes back from a JPEG file."""

    def stored(y, quality=90):
        file = io.BytesIO()
        Image.fromarray((255 * y[0].clamp(0, 1).permute(1, 2, 0)).round().byte().numpy()).save(
            file, "JPEG", quality=quality
        )
        return torch.from_numpy(np.array(Image.open(file))).permute(2, 0, 1)[None].float() / 255

    return stored
