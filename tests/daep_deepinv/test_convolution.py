"""A part of the image shows what a blur without a border does to all of it."""

import pytest
import torch
from deepinv.physics import Blur, Inpainting

from daep_deepinv.operators import convolution
from daep_deepinv.operators.convolution import is_valid_blur, part_that_shows
from daep_deepinv.operators.geometry import image_geometry
from daep_deepinv.operators.measured import measured_values
from daep_deepinv.operators.subsampling import is_subsampling
from daep_deepinv.operators.trust import adjoint_test

LARGE = torch.zeros(1, 3, 300, 400)


def trail(sides: int = 9) -> torch.Tensor:
    kernel = torch.rand(1, 1, sides, sides, generator=torch.Generator().manual_seed(0)) ** 6
    return kernel / kernel.sum()


def one_pixel(channels: int = 1) -> torch.Tensor:
    kernel = torch.zeros(1, channels, 3, 3)
    kernel[..., 1, 1] = 1
    return kernel


def one_dark_channel() -> torch.Tensor:
    return one_pixel(3) * torch.tensor([1.0, 0.0, 1.0]).view(1, 3, 1, 1)


class Shifted(Blur):
    def A(self, x, filter=None, **kwargs):
        return super().A(x, filter, **kwargs).roll(3, -1)


@pytest.mark.parametrize("kernel", [trail(), trail(31), 2 * trail(), one_pixel(), one_dark_channel()])
def test_a_part_says_what_the_whole_image_says(kernel, monkeypatch):
    def answers() -> list:
        physics = Blur(kernel, padding="valid")
        y = physics.A(torch.rand(LARGE.shape, generator=torch.Generator().manual_seed(1)))
        found = image_geometry(physics, LARGE)
        seen = measured_values(physics, y, LARGE), measured_values(physics, y)
        ratio = round(adjoint_test(physics, LARGE).ratio, 4)
        subsampling = [is_subsampling(physics, y, LARGE, exact=exact) for exact in (False, True)]
        placed = None if found is None else (found.steps, [round(b, 2) for b in found.first], found.gain)
        return [placed, seen, ratio, subsampling]

    by_part = answers()
    monkeypatch.setattr(convolution, "LEAST_SIDE", 1000)
    assert part_that_shows(Blur(kernel), LARGE) is LARGE
    torch.testing.assert_close(by_part, answers(), rtol=0, atol=0)


def test_only_a_large_image_under_a_blur_without_a_border_is_shown_by_a_part():
    assert part_that_shows(Blur(trail()), LARGE).shape == (1, 3, 256, 256)
    assert part_that_shows(Blur(trail(35)), LARGE).shape == (1, 3, 280, 280)
    assert part_that_shows(Blur(trail()), small := LARGE[..., :200, :256]) is small
    for other in (Blur(trail(), padding="circular"), Shifted(trail()), Blur(), Inpainting((3, 300, 400))):
        assert not is_valid_blur(other) and part_that_shows(other, LARGE) is LARGE
