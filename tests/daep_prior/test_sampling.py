"""The annealed chain against a posterior that is known, and what it refuses."""

import pytest
import torch

from daep_prior import MeanShiftPrior, NoiseSource
from daep_prior.sampling import SamplingPlan, draw_sample, sample_seed

VARIANCE, NOISE = 0.04, 0.05


class OneGaussian:
    """The optimal denoiser of independent pixels with mean 1/2."""

    in_channels = 3

    def __call__(self, x, sigma):
        share = VARIANCE / (VARIANCE + torch.as_tensor(sigma).reshape(-1, 1, 1, 1) ** 2)
        return 0.5 + share * (x - 0.5)


@pytest.fixture
def prior():
    return MeanShiftPrior(OneGaussian())


def test_the_mean_is_the_posterior_mean_of_a_gaussian_density(prior):
    """Every second column measured, with noise: there the mean is a weighted one, elsewhere 1/2."""
    mask = torch.zeros(1, 1, 32, 32)
    mask[..., ::2] = 1
    generator = torch.Generator().manual_seed(0)
    x = 0.5 + VARIANCE**0.5 * torch.randn((1, 3, 32, 32), generator=generator)
    y = mask * (x + NOISE * torch.randn(x.shape, generator=generator))

    def prox(v, gamma):
        return (v + gamma / NOISE**2 * mask * y) / (1 + gamma / NOISE**2 * mask)

    samples = []
    for k in range(32):
        noise = NoiseSource(sample_seed(0, k))
        start = torch.where(mask > 0, y, 0.5 * torch.ones(()))
        samples.append(draw_sample(prox, start, prior, noise))
    found = torch.stack(samples)
    known = mask.expand_as(x) > 0
    share = VARIANCE / (VARIANCE + NOISE**2)
    expected = torch.where(known, 0.5 + share * (y - 0.5), 0.5 * torch.ones(()))
    assert (found.mean(0) - expected)[known].square().mean().sqrt() < 0.3 * NOISE
    deviation = found.std(0)
    assert deviation[~known].mean() > 1.5 * deviation[known].mean()
    assert 0.5 * NOISE < deviation[known].mean() < 1.5 * NOISE


def test_an_image_has_the_same_sample_alone_and_in_a_batch(prior):
    start = torch.rand((3, 3, 8, 8), generator=torch.Generator().manual_seed(1))
    seeds = [5, 6, 7]
    together = draw_sample(lambda v, gamma: v, start, prior, NoiseSource(seeds))
    for i in range(3):
        alone = draw_sample(lambda v, gamma: v, start[i : i + 1], prior, NoiseSource(seeds[i]))
        assert torch.equal(alone, together[i : i + 1])


def test_levels_fall_from_the_first_to_the_last():
    levels = SamplingPlan(first=0.3, last=0.01, levels=7).noise_levels()
    assert levels[0] == 0.3
    assert levels[-1] == pytest.approx(0.01)
    assert levels == sorted(levels, reverse=True)
    assert SamplingPlan(levels=1).noise_levels() == [SamplingPlan().first]


@pytest.mark.parametrize(
    "options",
    [{"first": 0.001}, {"last": 0.0}, {"levels": 0}, {"levels": 2.5}, {"fresh": 1.5}, {"fresh": "1"}, {"first": True}],
    ids=str,
)
def test_a_number_out_of_its_range_is_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        SamplingPlan(**options)


def test_a_denoiser_for_one_level_is_refused():
    denoiser = OneGaussian()
    denoiser.sigma = 25 / 255
    with pytest.raises(ValueError, match="25/255 alone"):
        draw_sample(lambda v, gamma: v, torch.rand(1, 3, 4, 4), MeanShiftPrior(denoiser), NoiseSource(0))


def test_seeds_and_numbers_that_differ_give_other_noise():
    seeds = {sample_seed(seed, number) for seed in range(4) for number in range(4)}
    assert len(seeds) == 16
