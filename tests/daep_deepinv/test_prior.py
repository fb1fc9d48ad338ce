"""``DAEPrior`` as a deepinv prior: values, gradients, proximal steps, and what it must not touch."""

import deepinv as dinv
import pytest
import torch
from deepinv.models.base import Denoiser
from deepinv.optim.prior import RED, PnP, Prior

from daep_deepinv import DAEDenoiser, DAEPrior
from daep_prior import NoiseSource, energy, energy_gradient

WIDTH = 25 / 255
FINITE_DIFFERENCE = 1e-6


def small(model):
    torch.manual_seed(0)
    return model().eval().double()


#: deepinv denoisers that need no download. DRUNet and GSDRUNet with few channels; UNet reads no noise level.
DEEPINV_DENOISERS = {
    "DnCNN": lambda: dinv.models.DnCNN(depth=4, nf=8, pretrained=None),
    "UNet": lambda: dinv.models.UNet(in_channels=3, out_channels=3, scales=2, batch_norm=False),
    "DRUNet": lambda: dinv.models.DRUNet(nc=[4, 4, 4, 4], nb=1, act_mode="E", pretrained=None),
}


@pytest.fixture
def gaussian(make_gaussian):
    return make_gaussian((3, 4, 3))


@pytest.fixture
def x(images):
    return images(2, 3, 12, 10)


# -- what deepinv asks of a prior --------------------------------------------------------------------------------


def test_it_is_a_deepinv_prior_with_a_deepinv_denoiser(network):
    prior = DAEPrior(network)
    assert isinstance(prior, Prior)
    assert isinstance(prior.denoiser, Denoiser)
    assert prior.explicit_prior is True
    assert DAEPrior(network, jacobian=False).explicit_prior is False


@pytest.mark.parametrize(
    "sigma",
    [None, WIDTH, torch.tensor([WIDTH]), torch.tensor(WIDTH), torch.tensor([WIDTH, WIDTH]), torch.tensor([[WIDTH]])],
    ids=["None", "float", "(1,)", "()", "(B,)", "(1, 1)"],
)
def test_every_form_of_g_param_gives_the_same(network, x, sigma):
    prior = DAEPrior(network, noise="fixed", sigma=WIDTH)
    assert torch.allclose(prior(x, sigma), prior(x, WIDTH), rtol=1e-4)
    assert torch.allclose(prior.grad(x, sigma), prior.grad(x, WIDTH), atol=1e-6)
    assert torch.allclose(prior.prox(x, sigma, gamma=0.5), prior.prox(x, WIDTH, gamma=0.5), atol=1e-6)


def test_a_network_for_one_level_acts_at_its_level(conv, x):
    prior = DAEPrior(conv, noise="fixed")
    assert torch.equal(prior.grad(x, 0.5), prior.grad(x, None))


def test_values_are_one_an_image_whatever_keywords_come_along(network, x):
    prior = DAEPrior(network, noise="fixed", sigma=WIDTH)
    value = prior(x, WIDTH)
    assert value.shape == (2,)
    assert torch.equal(prior(x, WIDTH, something=False), value)
    assert torch.allclose(prior.fn(x, WIDTH, reduce=False), value.sum())  # all that deepinv's optim_builder can weight
    assert prior.grad(x, WIDTH, reduce=False).shape == x.shape
    assert prior.prox(x, WIDTH, gamma=0.1, reduce=False).shape == x.shape


def test_the_width_may_differ_between_images(unet, x):
    prior = DAEPrior(unet, noise="fixed")
    widths = torch.tensor([0.05, 0.2])
    together = prior.grad(x, widths)
    for i in range(2):
        alone = prior.grad(x[i : i + 1], float(widths[i]))
        assert (together[i : i + 1] - alone).abs().max() < 1e-5


@pytest.mark.parametrize("noise", ["fresh", "fixed", "none"])
def test_it_evaluates_the_energy_it_says(gaussian, images, noise):
    """Against the functions of the core, with the noise drawn by hand."""
    x = images(2, 3, 4, 3, dtype=torch.float64)
    prior = DAEPrior(gaussian, noise=noise, seed=3)
    fields = NoiseSource(3).draw(x) if noise != "none" else None
    assert torch.equal(prior(x, WIDTH), energy(gaussian, x, WIDTH, fields))
    assert torch.equal(prior.grad(x, WIDTH), energy_gradient(gaussian, x, WIDTH, fields))


@pytest.mark.parametrize("name", DEEPINV_DENOISERS)
def test_gradient_through_a_deepinv_denoiser_is_the_finite_difference(name, images):
    prior = DAEPrior(small(DEEPINV_DENOISERS[name]), noise="fixed", sigma=WIDTH)
    x = images(2, 3, 16, 16, dtype=torch.float64)
    gradient = prior.grad(x, WIDTH)
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    step = 1e-7  # short, so as to stay on one side of every ReLU's kink
    difference = (prior(x + step * direction, WIDTH) - prior(x - step * direction, WIDTH)) / (2 * step)
    assert torch.allclose((gradient * direction).flatten(1).sum(1), difference, rtol=FINITE_DIFFERENCE, atol=0)


@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_gradient_through_our_networks_is_the_finite_difference(network, images, channels):
    prior = DAEPrior(network.double(), noise="fixed")
    x = images(2, channels, 9, 7, dtype=torch.float64)
    gradient = prior.grad(x, WIDTH)
    direction = torch.randn(x.shape, dtype=x.dtype, generator=torch.Generator().manual_seed(1))
    step = 1e-7  # short, so as to stay on one side of every ReLU's kink
    difference = (prior(x + step * direction, WIDTH) - prior(x - step * direction, WIDTH)) / (2 * step)
    assert torch.allclose((gradient * direction).flatten(1).sum(1), difference, rtol=FINITE_DIFFERENCE, atol=0)


def test_dmsp_is_reds_gradient_with_noise(network, x):
    """``jacobian=False`` without noise is exactly deepinv's RED."""
    prior = DAEPrior(network, noise="none", jacobian=False)
    assert torch.equal(prior.grad(x, WIDTH), RED(denoiser=prior.denoiser).grad(x, WIDTH))


def test_pnp_and_red_take_the_same_denoiser(network, x):
    denoiser = DAEPrior(network).denoiser
    assert torch.equal(PnP(denoiser=denoiser).prox(x, WIDTH), network(x, WIDTH))
    assert torch.equal(RED(denoiser=denoiser).grad(x, WIDTH), x - network(x, WIDTH))


# -- noise -------------------------------------------------------------------------------------------------------


def test_fresh_noise_differs_between_calls_and_repeats_after_reset(network, x):
    prior = DAEPrior(network)
    first, second = prior.grad(x, WIDTH), prior.grad(x, WIDTH)
    assert not torch.equal(first, second)
    prior.reset()
    assert torch.equal(prior.grad(x, WIDTH), first)
    assert not torch.equal(DAEPrior(network, seed=1).grad(x, WIDTH), first)


def test_fixed_noise_is_the_same_at_every_call(network, x):
    prior = DAEPrior(network, noise="fixed")
    assert torch.equal(prior.grad(x, WIDTH), prior.grad(x, WIDTH))
    assert torch.equal(prior(x, WIDTH), prior(x, WIDTH))


def test_values_can_be_compared_while_gradients_draw_fresh_noise(network, x):
    prior = DAEPrior(network)
    before = prior(x, WIDTH)
    prior.grad(x, WIDTH)
    assert torch.equal(prior(x, WIDTH), before)


@pytest.mark.parametrize("noise", ["fresh", "fixed", "none"])
@pytest.mark.parametrize("size", [(16, 16), (13, 9), (5, 21)])
def test_an_image_gets_the_same_alone_and_in_a_batch(network, images, noise, size):
    """In the number type that is fastest here (bf16 where the processor has it), for ordinary and odd sizes."""
    x = images(3, 3, *size)
    seeds = [4, 5, 6]
    prior = DAEPrior(network, noise=noise, seed=seeds)
    value, gradient = prior(x, WIDTH), prior.grad(x, WIDTH)
    for i in range(3):
        alone = DAEPrior(network, noise=noise, seed=seeds[i])
        one = x[i : i + 1]
        assert torch.allclose(alone(one, WIDTH), value[i], rtol=1e-5)
        assert (alone.grad(one, WIDTH) - gradient[i]).abs().max() < 1e-5


def test_an_image_gets_the_same_alone_and_in_a_batch_by_a_trained_network(trained, images):
    for size in ((32, 32), (45, 29)):
        x = images(3, 3, *size)
        gradient = DAEPrior(trained, seed=2).grad(x, WIDTH)
        for i in range(3):
            alone = DAEPrior(trained, seed=2).grad(x[i : i + 1], WIDTH)
            assert (alone - gradient[i]).abs().max() < 1e-5


def test_grey_images_are_shown_to_a_colour_network(network, images):
    grey = images(2, 1, 8, 8)
    prior = DAEPrior(network, noise="none")
    rgb = grey.expand(-1, 3, -1, -1)
    assert prior.grad(grey, WIDTH).shape == grey.shape
    # noise that is equal in the channels is to the network as strong as independent noise of sqrt(3) times its level
    level = 3**0.5 * WIDTH
    assert torch.allclose(prior(grey, WIDTH), prior(rgb, level) / 3, rtol=1e-3)
    assert torch.allclose(prior.grad(grey, WIDTH), prior.grad(rgb, level).mean(1, keepdim=True), atol=1e-6)


def test_noise_and_jacobian_can_be_left_out_for_one_gradient(network, images):
    x = images(1, 3, 8, 8)
    prior = DAEPrior(network, noise="fixed")
    plain = prior.grad(x, WIDTH, noise_share=0.0, jacobian=False)
    assert torch.allclose(plain, x - prior.denoiser(x, WIDTH), atol=1e-6)
    assert torch.allclose(plain, DAEPrior(network, noise="none", jacobian=False).grad(x, WIDTH), atol=1e-6)
    full, half = prior.grad(x, WIDTH), prior.grad(x, WIDTH, noise_share=0.5)
    assert not torch.allclose(full, half, atol=1e-6)


def test_each_replica_of_a_grey_image_has_its_own_noise(make_spy, images):
    """Equal noise in the channels would be a grey noise that the network was never trained on."""
    seen = []
    prior = DAEPrior(make_spy(lambda z: seen.append(z.detach()) or 0.9 * z))
    prior.grad(images(1, 1, 8, 8), WIDTH)
    assert seen[0].shape[1] == 3
    assert not torch.equal(seen[0][:, 0], seen[0][:, 1])


# -- the proximal step -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("gamma", [0.1, 1.0, 10.0, torch.tensor(1.0)], ids=str)
def test_the_proximal_step_minimises_its_objective(gaussian, images, gamma):
    """``prox(x) = argmin gamma R(z) + |z - x|^2 / 2``, solved exactly for the affine denoiser."""
    x = images(2, 3, 4, 3, dtype=torch.float64)
    prior = DAEPrior(gaussian, noise="none")
    residual = gaussian.residual_matrix(WIDTH)
    system = torch.eye(len(residual), dtype=x.dtype) + gamma * residual @ residual
    exact = gaussian.mean + torch.linalg.solve(system, (x.flatten(1) - gaussian.mean).T).T
    found = prior.prox(x, WIDTH, gamma=gamma, max_iter_inter=500, tol_inter=1e-10).flatten(1)
    assert torch.allclose(found, exact, atol=1e-6)


@pytest.mark.parametrize("gamma", [0.1, 1.0, 30.0])
def test_the_proximal_step_decreases_its_objective_with_its_defaults(network, x, gamma):
    """Ten gradient steps with the built-in step size; a step too long would increase it."""
    prior = DAEPrior(network, noise="fixed")

    def objective(z):
        return gamma * prior(z, WIDTH) + (z - x).square().flatten(1).sum(1) / 2

    assert bool((objective(prior.prox(x, WIDTH, gamma=gamma, max_iter_inter=10)) <= objective(x)).all())


# -- what it must not touch --------------------------------------------------------------------------------------


@pytest.mark.parametrize("enabled", [True, False])
def test_the_users_image_and_the_parameters_are_left_alone(network, x, enabled):
    before = x.clone()
    prior = DAEPrior(network)
    with torch.set_grad_enabled(enabled):
        results = prior(x, WIDTH), prior.grad(x, WIDTH), prior.prox(x, WIDTH, gamma=0.5)
    assert torch.equal(x, before)
    assert not x.requires_grad
    assert not any(r.requires_grad for r in results)
    assert all(p.grad is None for p in network.parameters())


def test_it_works_inside_inference_mode(network, x):
    with torch.inference_mode():
        assert DAEPrior(network).grad(x, WIDTH).shape == x.shape


def test_double_precision_stays_double(network, images):
    x = images(1, 3, 8, 8, dtype=torch.float64)
    prior = DAEPrior(network)
    assert prior.grad(x, WIDTH).dtype == torch.float64
    assert prior(x, WIDTH).dtype == torch.float64


# -- construction ------------------------------------------------------------------------------------------------


def test_unsuitable_parts_are_refused_at_construction(network):
    with pytest.raises(ValueError, match=r"noise.*'fresh', 'fixed' or 'none'"):
        DAEPrior(network, noise="sometimes")
    for width in (0.0, -1, float("nan")):
        with pytest.raises(ValueError, match="sigma: got"):
            DAEPrior(network, sigma=width)
    with pytest.raises(TypeError, match="denoiser"):
        DAEPrior(lambda x, sigma: x)
    with pytest.raises(TypeError, match="smaples"):
        DAEPrior(network, smaples=2)
    with pytest.raises(FileNotFoundError, match="no network named"):
        DAEPrior("no-such-network")


def test_a_denoiser_that_cannot_be_differentiated_is_refused_with_the_way_out(images):
    """deepinv's median filter is differentiable nowhere useful; one under ``no_grad`` not at all."""

    class Frozen(Denoiser):
        def forward(self, x, sigma=None, **kwargs):
            with torch.no_grad():
                return 0.9 * x

    with pytest.raises(ValueError, match="jacobian=False"):
        DAEPrior(Frozen()).grad(images(), WIDTH)
    assert DAEPrior(Frozen(), jacobian=False).grad(images(), WIDTH).shape == images().shape


def gradient_step(detach):
    torch.manual_seed(0)
    denoiser = dinv.models.GSDRUNet(nc=[4, 4, 4, 4], nb=1, pretrained=None).eval()
    denoiser.detach = detach
    return denoiser


@pytest.mark.parametrize("noise", ["fresh", "none"])
def test_a_gradient_step_denoiser_works_if_it_keeps_its_graph(images, noise):
    """It calls ``requires_grad_()`` on what it is given, which must not be the user's image."""
    x = images(2, 3, 16, 16)
    with torch.no_grad():
        assert DAEPrior(gradient_step(False), noise=noise).grad(x, WIDTH).shape == x.shape
        assert DAEPrior(gradient_step(True), noise=noise, jacobian=False).grad(x, WIDTH).shape == x.shape
        assert DAEPrior(gradient_step(True), noise=noise)(x, WIDTH).shape == (2,)
        with pytest.raises(ValueError, match=r"detach=False.*jacobian=False"):
            DAEPrior(gradient_step(True), noise=noise).grad(x, WIDTH)
    assert not x.requires_grad


@pytest.mark.parametrize("model", [dinv.models.TVDenoiser, dinv.models.MedianFilter], ids=["TV", "median"])
def test_a_classical_denoiser_works(images, model):
    x = images(2, 3, 16, 16)
    assert bool(DAEPrior(model()).grad(x, WIDTH).isfinite().all())


def test_a_daedenoiser_given_as_denoiser_is_not_wrapped_again(network):
    denoiser = DAEDenoiser(network)
    assert DAEPrior(denoiser).denoiser is denoiser


def test_a_daedenoiser_is_built_where_it_is_wanted(network):
    denoiser = DAEDenoiser(network, device="meta")
    assert {p.device.type for p in denoiser.parameters()} == {"meta"}


def test_it_moves_with_its_denoiser(network):
    prior = DAEPrior(network).double()
    assert all(p.dtype == torch.float64 for p in prior.denoiser.parameters())
    assert len(list(prior.parameters())) == len(list(network.parameters()))


def test_a_notebook_shows_what_a_prior_is_made_of():
    fixed, other = DAEPrior("dae-sigma25", noise="fixed", seed=7), DAEPrior("dae", jacobian=False)
    html = fixed._repr_html_()
    for text in ("ConvDAE", "for a noise level of 25/255", "fixed, one field a gradient, seed 7", "½"):
        assert text in html
    for text in (
        "UNetDAE, 2.39 M parameters, noise-conditional",
        "fresh, one field a gradient",
        "the mean shift alone",
    ):
        assert text in other._repr_html_()
    assert "½" in DAEPrior("dae-sigma25", explicit_prior=False)._repr_html_()  # the energy that is not evaluated
    assert "noise='fixed'" in repr(fixed)
