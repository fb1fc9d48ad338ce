"""Networks whose answer is known, and the fixtures that deepinv's own tests ask for."""

import io
import sys
from pathlib import Path

import deepinv
import numpy as np
import pytest
import torch
from deepinv.models.base import Denoiser
from denoisers import conv, images, make_smoother, make_spy, network, smoother, unet
from PIL import Image

from daep_prior import load_dae, shipped_networks

__all__ = ["conv", "images", "make_smoother", "make_spy", "network", "smoother", "unet"]  # fixtures

# deepinv's tests lie inside the package and import `dummy` from their own folder
sys.path.append(str(Path(deepinv.__file__).parent / "tests"))


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


@pytest.fixture
def make_gaussian():
    """The class :class:`GaussianDenoiser`."""
    return GaussianDenoiser


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
