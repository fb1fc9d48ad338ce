"""The prior as one object: which noise, which width, and the proximal step."""

import pytest
import torch

from daep_prior import ConvDAE, MeanShiftPrior, UNetDAE, energy, energy_gradient

WIDTH = 0.1


@pytest.fixture
def unet():
    torch.manual_seed(0)
    return UNetDAE(widths=(4, 8), blocks=1).fold()


@pytest.fixture
def x():
    return torch.rand(2, 3, 8, 8, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("noise", ["fixed", "none"])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_gradient_is_the_finite_difference_of_the_value(unet, x, noise, channels):
    x = x[:, :channels]
    prior = MeanShiftPrior(unet, noise=noise, sigma=WIDTH)
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    difference = (prior.value(x + 1e-6 * direction) - prior.value(x - 1e-6 * direction)) / 2e-6
    assert torch.allclose((prior.gradient(x) * direction).flatten(1).sum(1), difference, rtol=1e-5)


def test_it_is_the_energy_of_the_network(unet, x):
    prior = MeanShiftPrior(unet, noise="none")
    assert torch.equal(prior.value(x, WIDTH), energy(unet, x, WIDTH))
    assert torch.equal(prior.gradient(x, WIDTH), energy_gradient(unet, x, WIDTH))
    dmsp = MeanShiftPrior(unet, noise="none", jacobian=False)
    assert torch.equal(dmsp.gradient(x, WIDTH), x - unet(x, WIDTH))


def test_fresh_noise_differs_between_gradients_and_repeats_after_reset(unet, x):
    prior = MeanShiftPrior(unet, sigma=WIDTH)
    first, second = prior.gradient(x), prior.gradient(x)
    assert not torch.equal(first, second)
    prior.reset()
    assert torch.equal(prior.gradient(x), first)
    assert torch.equal(prior.value(x), prior.value(x))


def test_a_restarted_copy_has_the_noise_at_its_start_and_leaves_the_prior_alone(unet, x):
    prior = MeanShiftPrior(unet, sigma=WIDTH)
    first = prior.gradient(x)
    copy = prior.restarted()
    assert copy.denoiser is unet
    assert torch.equal(copy.gradient(x), first)
    second = prior.gradient(x)
    prior.reset()
    assert torch.equal(prior.gradient(x), first) and torch.equal(prior.gradient(x), second)
    assert torch.equal(prior.restarted(5).gradient(x), MeanShiftPrior(unet, sigma=WIDTH, seed=5).gradient(x))


def test_the_width_is_what_is_asked_or_what_the_network_is_trained_for(unet, x):
    with pytest.raises(ValueError, match="sigma"):
        MeanShiftPrior(unet).value(x)
    assert torch.equal(MeanShiftPrior(unet, sigma=WIDTH).value(x), MeanShiftPrior(unet).value(x, WIDTH))
    one = MeanShiftPrior(ConvDAE(sigma=0.2, depth=3, width=4).fold(), sigma=WIDTH)
    assert one.trained_width == one.kernel_width(0.3) == 0.2


@pytest.mark.parametrize("weight", [0.1, 1.0, 10.0])
def test_the_proximal_step_decreases_its_objective(unet, x, weight):
    prior = MeanShiftPrior(unet, noise="fixed", sigma=WIDTH)
    moved = prior.prox(x, weight)
    objective = weight * prior.value(moved) + (moved - x).square().flatten(1).sum(1) / 2
    assert bool((objective < weight * prior.value(x)).all())


def test_the_proximal_step_meets_its_optimality_condition(unet, x):
    prior = MeanShiftPrior(unet, noise="fixed", sigma=WIDTH)
    moved = prior.prox(x, 0.5, iterations=300, tolerance=0.0)
    assert torch.allclose(moved - x, -0.5 * prior.gradient(moved), atol=1e-8)


@pytest.mark.parametrize(
    ("options", "error", "name"),
    [
        ({"noise": "other"}, ValueError, "noise"),
        ({"sigma": 0.0}, ValueError, "sigma"),
        ({"tile": 0}, ValueError, "tile"),
        ({"smaples": 1}, TypeError, "smaples"),
    ],
)
def test_unsuitable_options_are_refused_by_name(unet, options, error, name):
    with pytest.raises(error, match=name):
        MeanShiftPrior(unet, **options)


def test_what_is_no_denoiser_is_refused():
    with pytest.raises(TypeError, match="denoiser"):
        MeanShiftPrior(3)


def test_it_shows_what_it_is(unet):
    assert "UNetDAE" in repr(MeanShiftPrior(unet)) and "25.5/255" in repr(MeanShiftPrior(unet, sigma=WIDTH))


@pytest.mark.parametrize(
    ("denoiser", "message"),
    [
        (lambda x, sigma: x[..., 1:, 1:], r"returned a tensor of shape \(2, 3, 7, 7\); .* \(2, 3, 8, 8\)"),
        (lambda x, sigma: x.mean(1, keepdim=True), r"returned a tensor of shape \(2, 1, 8, 8\)"),
        (lambda x, sigma: x.detach().numpy(), "returned ndarray"),
    ],
    ids=["cropped", "grey", "numpy"],
)
@pytest.mark.parametrize("jacobian", [True, False])
def test_what_a_denoiser_returns_is_looked_at(x, denoiser, message, jacobian):
    """One channel would be broadcast to three without a word."""
    prior = MeanShiftPrior(denoiser, sigma=WIDTH, jacobian=jacobian)
    for evaluate in (prior.gradient, prior.value):
        with pytest.raises(ValueError, match="denoiser: it " + message):
            evaluate(x)


def test_a_denoiser_that_takes_no_level_is_refused():
    class OneLevel(torch.nn.Module):
        def forward(self, x):
            return x

    with pytest.raises(TypeError, match=r"denoiser: OneLevel takes \(x\); expected \(x, sigma\)"):
        MeanShiftPrior(OneLevel())


@pytest.mark.parametrize("level", [25, 25.0, -0.1, 0])
def test_a_trained_level_in_other_units_is_refused(level):
    class OneLevel(torch.nn.Module):
        sigma = level

        def forward(self, x, sigma):
            return x

    with pytest.raises(ValueError, match=r"denoiser: its attribute sigma, .* is -?[\d.]+; .* such as 25/255"):
        MeanShiftPrior(OneLevel()).kernel_width()
