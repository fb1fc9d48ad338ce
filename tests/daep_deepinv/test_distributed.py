"""``deepinv.distributed.distribute`` on our denoiser and on models with our prior, in one process."""

import deepinv as dinv
import deepinv.tests.test_distributed as deepinv_distributed
import pytest
import torch
from deepinv.distributed import DistributedContext, distribute
from deepinv.optim import L2, BaseOptim
from deepinv.optim.prior import PnP

from daep_deepinv import DAEDenoiser, DAEPrior, HeavyBallIteration, ProximalMomentumIteration

ONE_PROCESS = {"device_mode": "cpu", "world_size": 1, "skip_reason": None}
PATCHES = {"patch_size": 8, "overlap": 4}
SETTINGS = {"HeavyBall": (HeavyBallIteration, 0.1), "ProximalMomentum": (ProximalMomentumIteration, 0.5)}
WIDTH = 25 / 255


@pytest.fixture
def context():
    with DistributedContext(device_mode="cpu", seed=0) as made:
        yield made


def unfolded(prior, name="HeavyBall"):
    iteration, step = SETTINGS[name]
    parameters = {"stepsize": [step] * 2, "lambda": [1.0] * 2, "g_param": [WIDTH] * 2, "momentum": [0.5] * 2}
    return BaseOptim(
        iteration(bounds=None),
        params_algo=parameters,
        trainable_params=["stepsize"],
        prior=prior,
        data_fidelity=L2(),
        max_iter=2,
        unfold=True,
    )


# -- deepinv's own -------------------------------------------------------------------------------------------------


def test_distribute_processor(monkeypatch, network):
    monkeypatch.setattr(deepinv_distributed, "create_denoiser", lambda *args, **kwargs: DAEDenoiser(network))
    deepinv_distributed.test_distribute_processor(ONE_PROCESS, "ours")


@pytest.mark.parametrize("operators", [1, 2])
@pytest.mark.parametrize("kind", ["PnP", "HeavyBall"])
def test_distribute_base_optim(monkeypatch, network, operators, kind):
    """As deepinv's data term has no value once it is distributed, nor may the prior: the DMSP form has none."""
    denoiser = DAEDenoiser(network.requires_grad_())

    def model(device, unfold=True):
        if kind == "HeavyBall":
            return unfolded(DAEPrior(denoiser, jacobian=False))
        return dinv.optim.PGD(
            prior=PnP(denoiser), data_fidelity=L2(), stepsize=[0.8, 0.7], sigma_denoiser=0.05,
            trainable_params=["stepsize"], max_iter=2, unfold=unfold,
        )  # fmt: skip

    monkeypatch.setattr(deepinv_distributed, "_make_test_unfolded_model", model)
    deepinv_distributed.test_distribute_base_optim(ONE_PROCESS, operators)


# -- ours: several images ------------------------------------------------------------------------------------------


def inside(x):
    """Without the border, where deepinv reflects the image before it cuts patches and a network pads by zeros."""
    return x[..., 4:-4, 4:-4]


def test_a_denoiser_in_patches_gives_the_whole_image(context, make_smoother, images):
    """The receptive field of the smoother is smaller than the overlap."""
    denoiser = make_smoother("conv")
    x = images(2, 3, 24, 20)
    patched = distribute(denoiser, context, type_object="denoiser", **PATCHES)(x, sigma=WIDTH)
    assert torch.allclose(inside(patched), inside(denoiser(x, WIDTH)), atol=1e-5)


@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("jacobian", [True, False])
def test_a_model_with_our_prior_trains_in_patches(context, conv, images, name, jacobian):
    """With the Jacobian too, if the prior is told to keep its value to itself."""
    conv.requires_grad_()
    prior = DAEPrior(conv, jacobian=jacobian, noise="fixed")
    prior.explicit_prior = False
    model = distribute(unfolded(prior, name), context, **PATCHES)
    x = images(2, 3, 16, 12)
    blur = dinv.physics.Blur(dinv.physics.functional.gaussian_blur(sigma=(1.0, 1.0)), padding="circular")
    physics = distribute([blur, dinv.physics.Denoising()], context)
    out = model(physics.A(x), physics)
    assert out.shape == x.shape
    (out - x).square().mean().backward()
    assert all(p.grad is not None for p in model.params_algo["stepsize"])
    assert any(p.grad is not None and float(p.grad.abs().max()) > 0 for p in conv.parameters())


def test_patches_do_not_change_the_result_of_a_solver(context, make_smoother, images):
    x = images(2, 3, 24, 20)
    physics = dinv.physics.Denoising()

    def run(model):
        with torch.no_grad():
            return model(x, physics)

    def build():
        return unfolded(DAEPrior(make_smoother("conv"), noise="fixed", jacobian=False))

    whole = run(build())
    model = build()
    model.prior[0].denoiser = distribute(model.prior[0].denoiser, context, type_object="denoiser", **PATCHES)
    assert torch.allclose(inside(run(model)), inside(whole), atol=1e-5)


def test_a_prior_alone_cannot_be_distributed(context, conv):
    """deepinv's rule; the model that holds it, or its denoiser, can."""
    with pytest.raises((ValueError, TypeError)):
        distribute(DAEPrior(conv), context)
