"""deepinv's own test functions, run on our objects.

They lie inside the installed package. Where one builds the object it tests, the builder is replaced by ours; nothing
else of it is changed. deepinv's tests use one image; our own, beside this file, use several.
"""

import inspect

import deepinv as dinv
import deepinv.tests.test_models as deepinv_models
import deepinv.tests.test_optim as deepinv_optim
import deepinv.tests.test_physics as deepinv_physics
import deepinv.tests.test_unfolded as deepinv_unfolded
import pytest
import torch
from deepinv.models.base import Denoiser
from deepinv.optim import BaseOptim
from deepinv.tests.dummy import DummyCircles

from daep_deepinv import DAEDenoiser, DAEPrior, HeavyBallIteration, ProximalMomentumIteration, degradation

ITERATORS = {"HeavyBall": HeavyBallIteration, "ProximalMomentum": ProximalMomentumIteration}
#: Steps for deepinv's problems, in the meaning each iterator gives to its step.
STEP = {"HeavyBall": 0.5, "ProximalMomentum": 0.5}
MOMENTUM = 0.5


@pytest.fixture(autouse=True)
def quiet(monkeypatch, capsys):
    """deepinv's tests print their progress, and skip without ptwt, which only the replaced wavelet denoiser needs."""
    monkeypatch.setattr(pytest, "importorskip", lambda *args, **kwargs: None)
    yield
    capsys.readouterr()


@pytest.fixture(autouse=True)
def gradients_enabled():
    """``test_DEQ`` switches them on for good; leave the mode as it was."""
    before = torch.is_grad_enabled()
    yield
    torch.set_grad_enabled(before)


@pytest.fixture
def ours_among_solvers(monkeypatch):
    """Make our iterators classes of ``deepinv.optim``, built as deepinv's tests build its own solvers."""

    def solver(name):
        def build(stepsize=1.0, lambda_reg=1.0, g_param=None, g_first=False, unfold=False, bounds=None, **kwargs):
            # our order of steps is fixed; and with more than [0, 1] to move in, the problems keep their solutions
            steps = stepsize if isinstance(stepsize, list) else stepsize * STEP[name]
            parameters = {"stepsize": steps, "lambda": lambda_reg, "g_param": g_param, "momentum": MOMENTUM}
            kwargs.pop("beta", None)
            return BaseOptim(ITERATORS[name](bounds=bounds), params_algo=parameters, unfold=unfold, **kwargs)

        return build

    for name in ITERATORS:
        monkeypatch.setattr(dinv.optim, name, solver(name), raising=False)


# -- optimizers: deepinv's problems --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ITERATORS)
def test_optim_algo(name, ours_among_solvers, imsize, dummy_dataset, device):
    """Optimality ``grad f = -lambda grad g`` to 1e-8, for deepinv's two-variable problem."""
    deepinv_optim.test_optim_algo(name, False, imsize, dummy_dataset, device)


SPLITTINGS = ["PGD", "HQS", "DRS", "ADMM", "PDCP", "FISTA"]


@pytest.mark.parametrize("algorithm", [*SPLITTINGS, *ITERATORS])
@pytest.mark.parametrize("noise", ["none", "fixed"])
def test_priors_algo(algorithm, noise, monkeypatch, ours_among_solvers, make_smoother, imsize, dummy_dataset, device):
    """With fresh noise there is no fixed point to converge to; with fixed noise or none there is."""
    prior = DAEPrior(make_smoother("conv"), noise=noise)
    monkeypatch.setattr(deepinv_optim, "get_prior", lambda name, device="cpu": prior)
    deepinv_optim.test_priors_algo(algorithm, "DAEPrior", imsize, dummy_dataset, device)


@pytest.mark.parametrize("algorithm", SPLITTINGS)
def test_pnp_algo(algorithm, monkeypatch, smoother, imsize, dummy_dataset, device):
    monkeypatch.setattr(dinv.models, "WaveletDenoiser", lambda **kwargs: smoother)
    deepinv_optim.test_pnp_algo(algorithm, imsize, dummy_dataset, device)


@pytest.mark.parametrize("algorithm", ["GD", "PGD", "FISTA"])
def test_red_algo(algorithm, monkeypatch, smoother, imsize, dummy_dataset, device):
    monkeypatch.setattr(dinv.models, "WaveletDenoiser", lambda **kwargs: smoother)
    deepinv_optim.test_red_algo(algorithm, imsize, dummy_dataset, device)


@pytest.mark.parametrize("algorithm", ["GD", "PGD"])
def test_red_algo_with_our_prior_in_the_place_of_red(
    algorithm, monkeypatch, make_smoother, imsize, dummy_dataset, device
):
    """Not FISTA: the blur is "valid", so its border is held by the prior alone, and there FISTA goes on swinging."""
    monkeypatch.setattr(dinv.models, "WaveletDenoiser", lambda **kwargs: make_smoother("conv"))
    monkeypatch.setattr(deepinv_optim, "RED", lambda denoiser: DAEPrior(denoiser, noise="fixed"))
    deepinv_optim.test_red_algo(algorithm, imsize, dummy_dataset, device)


# -- unfolding -----------------------------------------------------------------------------------------------------


class Hidden(Denoiser):
    """A denoiser without visible parameters: deepinv's unfolding tests demand that ``g_param`` and ``stepsize`` be the
    model's only ones.
    """

    def __init__(self, denoiser):
        super().__init__()
        self.hidden = [denoiser]

    def forward(self, x, sigma=None, **kwargs):
        return self.hidden[0](x, sigma)


class OneWidth(DAEPrior):
    """They also pass noise levels one a wavelet band, here reduced to their mean."""

    def kernel_width(self, sigma):
        return sigma.mean()


@pytest.fixture
def unfoldable(monkeypatch, ours_among_solvers, make_smoother):
    monkeypatch.setattr(dinv.models, "WaveletDenoiser", lambda **kwargs: Hidden(make_smoother("unet")))
    for name in ("PnP", "RED"):
        monkeypatch.setattr(deepinv_unfolded, name, lambda denoiser: OneWidth(denoiser, noise="fixed"))


@pytest.mark.parametrize("algorithm", ["PGD", "HQS", "GD", "ADMM", "FISTA", *ITERATORS])
def test_unfolded(algorithm, unfoldable, imsize, dummy_dataset, device):
    deepinv_unfolded.test_unfolded(algorithm, False, True, imsize, dummy_dataset, device)


@pytest.mark.parametrize("algorithm", ["PGD", "HQS", *ITERATORS])
@pytest.mark.parametrize("jacobian_free", [False, True])
def test_deq(algorithm, jacobian_free, unfoldable, imsize, dummy_dataset, device):
    deepinv_unfolded.test_DEQ(algorithm, imsize, dummy_dataset, device, False, jacobian_free, True, False)


# -- denoisers -----------------------------------------------------------------------------------------------------


@pytest.fixture
def choose_ours(monkeypatch, network):
    monkeypatch.setattr(deepinv_models, "choose_denoiser", lambda name, imsize: DAEDenoiser(network))


def test_denoiser_color(choose_ours, imsize, device):
    deepinv_models.test_denoiser_color(imsize, device, "ours")


def test_denoiser_gray(choose_ours, imsize_1_channel, device):
    deepinv_models.test_denoiser_gray(imsize_1_channel, device, "ours")


def test_denoiser_1_channel(choose_ours, imsize_1_channel, device):
    deepinv_models.test_denoiser_1_channel(imsize_1_channel, device, "ours")


@pytest.mark.parametrize("batch_size", [1, 2])
@pytest.mark.parametrize("name", ["color", "gray"])
def test_denoiser_sigma(choose_ours, batch_size, name, device):
    getattr(deepinv_models, f"test_denoiser_sigma_{name}")(batch_size, "ours", device)


# -- physics: what degradation() returns ---------------------------------------------------------------------------

SIZE = (3, 24, 36)


def kernel():
    """Asymmetric, and of different height and width."""
    return torch.rand(5, 7, generator=torch.Generator().manual_seed(0)) ** 2


PHYSICS = {
    "blur, valid": lambda: degradation(kernel()),
    "blur, circular": lambda: degradation(kernel(), padding="circular"),
    "blur, Fourier": lambda: degradation(kernel(), padding="circular", img_size=SIZE),
    "blur, replicate": lambda: degradation(kernel(), padding="replicate"),
    "bicubic x2": lambda: degradation(factor=2),
    "bicubic x3": lambda: degradation(factor=3),
    "bicubic x3, closed": lambda: degradation(factor=3, img_size=SIZE),
    "decimation x2": lambda: degradation(factor=2, downsampling="decimate", img_size=SIZE),
    "blur, bicubic x2": lambda: degradation(kernel(), 2, padding="circular"),
    "blur, decimation x2": lambda: degradation(kernel(), 2, padding="circular", downsampling="decimate", img_size=SIZE),
    "identity": lambda: degradation(),
}


@pytest.fixture(params=PHYSICS)
def operator(request, monkeypatch):
    """deepinv's tests find this operator, whatever name they look for."""

    def find(name, device, imsize=None, get_physics_param=False):
        found = (PHYSICS[request.param](), SIZE, 1, torch.float32)
        return (*found, []) if get_physics_param else found

    monkeypatch.setattr(deepinv_physics, "find_operator", find)
    return request.param


def test_operators_adjointness(operator, device, rng):
    deepinv_physics.test_operators_adjointness("ours", device, rng)


def test_operators_norm(operator, device, rng):
    """The norm is known where the operator keeps a constant image: 1 for a circular blur, smaller for decimation.

    deepinv compares it with one only if the name does not say that it is not known; bicubic downsampling by MATLAB's
    rule has norm near, but not equal to, the reduction's.
    """
    known = operator in ("blur, circular", "blur, Fourier", "identity", "decimation x2")
    deepinv_physics.test_operators_norm("ours" if known else "ours, valid", False, device, rng)


def test_operators_differentiability(operator, device):
    deepinv_physics.test_operators_differentiability("ours", device)


@pytest.mark.parametrize("implicit", [True, False])
def test_pseudo_inverse(operator, implicit, device, rng):
    deepinv_physics.test_pseudo_inverse("ours", device, rng, implicit)


def test_adjoint_autograd(operator, device):
    torch.manual_seed(0)
    deepinv_physics.test_adjoint_autograd("ours", device)


def test_decomposable(operator, device, rng):
    deepinv_physics.test_decomposable("ours", device, rng)


def test_deepinvs_tests_are_still_those_we_know():
    """A new argument in one of them would be passed wrongly, or not at all."""
    known = {
        deepinv_optim.test_optim_algo: ["name_algo", "and_acc", "imsize", "dummy_dataset", "device"],
        deepinv_optim.test_priors_algo: ["pnp_algo", "prior_name", "imsize", "dummy_dataset", "device"],
        deepinv_physics.find_operator: ["name", "device", "imsize", "get_physics_param"],
    }
    for function, arguments in known.items():
        assert list(inspect.signature(function).parameters) == arguments
    assert DummyCircles(samples=1).x.shape == (1, 3, 32, 28)
