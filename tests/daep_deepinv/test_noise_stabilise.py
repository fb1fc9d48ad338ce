"""Denoising where the noise depends on the signal: transforms to one level, and maps of levels."""

import pytest
import torch
from deepinv.models import AnscombeDenoiser

from daep_deepinv import DAEDenoiser, DAEPrior
from daep_deepinv.noise.stabilise import Anscombe, LogAnscombe, Logarithm, stabiliser_of
from daep_deepinv.noise.variance import LogPoissonVariance, MapVariance, QuadraticVariance
from daep_deepinv.plans.one_step import denoised

POISSON = QuadraticVariance(0.02**2, 0.02)
SPECKLE = QuadraticVariance(0.0, 0.0, 0.1)
LOGARITHMS = LogPoissonVariance(500.0, 2.0)


def drawn(law, x: torch.Tensor) -> torch.Tensor:
    """A measurement with the mean ``x``."""
    torch.manual_seed(0)
    if law is POISSON:
        return 0.02 * torch.poisson(x / 0.02) + 0.02 * torch.randn(x.shape)
    if law is SPECKLE:
        return torch.distributions.Gamma(10.0, 10.0 / x).sample()
    return -(torch.poisson(500 * (-2 * x).exp()) / 500).log() / 2


@pytest.mark.parametrize("mean", [0.05, 0.4, 1.0])
@pytest.mark.parametrize("law", [POISSON, SPECKLE, LOGARITHMS], ids=lambda law: type(law).__name__)
def test_stabilised_noise_has_the_level_one_and_its_mean_leads_back(law, mean) -> None:
    stabiliser = stabiliser_of(law)
    z = stabiliser.forward(drawn(law, torch.full((1, 1, 400, 400), mean)))
    few_counts = law is POISSON and mean < 0.1
    assert float(z.std()) == pytest.approx(1, abs=0.12 if few_counts else 0.03)
    assert float(stabiliser.inverse(z.mean())) == pytest.approx(mean, rel=0.03 if few_counts else 0.01)


def test_each_law_has_its_transform() -> None:
    kinds = [type(stabiliser_of(law)) for law in (POISSON, SPECKLE, LOGARITHMS)]
    assert kinds == [Anscombe, Logarithm, LogAnscombe]
    assert stabiliser_of(QuadraticVariance(0.01)) is None and stabiliser_of(MapVariance(torch.ones(1))) is None


def test_counts_at_zero_light_come_back_as_zero() -> None:
    transform = Anscombe(0.1)
    y = torch.zeros(1, 1, 4, 4)
    assert float(transform.inverse(transform.forward(y)).abs().max()) < 0.01


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("gain", "sigma"), [(0.05, 0.01), (0.5, 0.0)])
def test_poisson_noise_is_removed_at_least_as_well_as_by_deepinvs_denoiser(photograph, channels, gain, sigma) -> None:
    x = photograph[:, :channels]
    torch.manual_seed(0)
    y = gain * torch.poisson(x / gain) + sigma * torch.randn(x.shape)
    with torch.no_grad():
        ours = denoised(y, QuadraticVariance(sigma**2, gain), DAEPrior("dae"))
        theirs = AnscombeDenoiser(DAEDenoiser("dae"))(y, sigma=sigma, gain=gain)
    error, other = (float((z.clamp(0, 1) - x).square().mean()) for z in (ours, theirs))
    assert error < 1.02 * other


def test_a_given_map_of_levels_is_used(photograph) -> None:
    torch.manual_seed(0)
    levels = torch.full_like(photograph[:, :1], 0.02)
    levels[..., 56:] = 0.2
    y = photograph + levels * torch.randn(photograph.shape)
    prior = DAEPrior("dae")
    with torch.no_grad():
        x = denoised(y, MapVariance(levels.square()), prior)
        one_level = prior.denoise(y, float(levels.square().mean().sqrt()))
    error, other = (float((z - photograph).square().mean()) for z in (x, one_level))
    assert error < 0.7 * other


def test_an_image_is_denoised_the_same_alone_and_in_a_batch(photograph) -> None:
    both = torch.cat([photograph, photograph.flip(-1)])[..., :48, :48]
    y = drawn(POISSON, both)
    prior = DAEPrior("dae")
    with torch.no_grad():
        assert torch.allclose(denoised(y, POISSON, prior)[1:], denoised(y[1:], POISSON, prior), atol=1e-5)


def test_a_denoiser_without_maps_is_interpolated_between_levels(photograph) -> None:
    torch.manual_seed(0)
    levels = torch.linspace(0.02, 0.2, 112).expand(1, 1, 112, 112)
    y = photograph + levels * torch.randn(photograph.shape)

    class OneLevel(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = DAEDenoiser("dae")

        def forward(self, x, sigma):
            return self.network(x, sigma)

    with torch.no_grad():
        results = [denoised(y, MapVariance(levels.square()), DAEPrior(net)) for net in ("dae", OneLevel())]
        results.append(DAEPrior("dae").denoise(y, float(levels.square().mean().sqrt())))
    with_map, between, one = (float((x - photograph).square().mean()) for x in results)
    assert between < 1.5 * with_map < 0.8 * one
