"""Volumes: the network sees each slice alone, and three neighbouring slices as colours."""

import pytest
import torch
from torch import nn

from daep_prior.neighbouring_slices import VolumePrior, slices_alike


class Mixing(nn.Module):
    """A denoiser of colour images that is not linear and mixes the channels."""

    in_channels = 3

    def __init__(self) -> None:
        super().__init__()
        self.mix = nn.Conv2d(3, 3, 3, padding=1, bias=False).double().requires_grad_(False)
        generator = torch.Generator().manual_seed(0)
        self.mix.weight.copy_(0.2 * torch.randn(self.mix.weight.shape, generator=generator))

    def forward(self, x: torch.Tensor, sigma: object = None) -> torch.Tensor:
        out: torch.Tensor = torch.tanh(self.mix(x)) + 0.5 * x
        return out


def volumes(count: int = 1, axis: int = 2, depth: int = 5) -> torch.Tensor:
    """Slices that are nearly the same, of unlike strength."""
    generator = torch.Generator().manual_seed(1)
    picture = torch.rand(count, 1, 1, 12, 10, generator=generator, dtype=torch.float64)
    noise = 0.02 * torch.rand(count, 1, depth, 12, 10, generator=generator, dtype=torch.float64)
    return (picture + noise).movedim(2, axis).contiguous()


def prior(**options: object) -> VolumePrior:
    return VolumePrior(Mixing(), sigma=0.1, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(("axis", "axes"), [(2, (-2, -1)), (4, (-3, -2))])
@pytest.mark.parametrize("depth", [3, 4, 7])
def test_the_gradient_is_that_of_the_energy(axis, axes, depth) -> None:
    x = volumes(axis=axis, depth=depth)
    adapted = prior(noise="none", axes=axes).adapted(x)
    assert "three neighbouring slices" in adapted.description(x)
    direction = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
    step = 1e-5
    change = (adapted.value(x + step * direction) - adapted.value(x - step * direction)) / (2 * step)
    assert float(change) == pytest.approx(float((adapted.gradient(x) * direction).sum()), rel=1e-6)


def test_the_mean_shift_ends_at_the_denoiser() -> None:
    x = volumes()
    adapted = prior(noise="none", jacobian=False).adapted(x)
    assert torch.allclose(x - adapted.gradient(x), adapted.denoise(x))


def test_unlike_slices_are_seen_alone() -> None:
    x = torch.rand(1, 1, 5, 12, 10, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    one = prior()
    assert torch.equal(one.adapted(x).gradient(x), one.restarted().gradient(x))
    assert "neighbouring" not in one.adapted(x).description(x)


@pytest.mark.parametrize("shape", [(1, 1, 2, 12, 10), (1, 3, 5, 12, 10), (1, 1, 12, 10)])
def test_two_slices_colours_and_images_remain_as_they_are(shape) -> None:
    x = torch.ones(shape, dtype=torch.float64)
    x[..., :4] = 0
    one = prior()
    assert torch.equal(one.adapted(x).denoise(x), one.denoise(x))


@pytest.mark.parametrize("seed", [4, [4, 5]])
def test_a_volume_is_the_same_alone_and_in_a_batch(seed) -> None:
    alike = volumes()
    unlike = torch.rand(alike.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    both = torch.cat([alike, unlike])
    assert slices_alike(both).tolist() == [True, False]
    together = prior(seed=seed).adapted(both).gradient(both)
    for i, x in enumerate((alike, unlike)):
        alone = prior(seed=seed if isinstance(seed, int) else seed[i]).adapted(x).gradient(x)
        assert torch.allclose(alone, together[i : i + 1], atol=1e-12)


def test_noise_does_not_hide_that_slices_are_alike() -> None:
    ramp = torch.linspace(0, 1, 32).expand(1, 1, 6, 32, 32)
    noise = torch.randn(ramp.shape, generator=torch.Generator().manual_seed(0))
    assert slices_alike(ramp + 0.2 * noise).all()
    assert not slices_alike(0.2 * noise).any()
    assert not slices_alike(torch.zeros_like(ramp)).any()
