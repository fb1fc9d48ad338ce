"""``deepinv.distributed.distribute`` on our denoiser and on models with our prior, in one process and in two."""

import subprocess
import sys
from pathlib import Path

import deepinv as dinv
import deepinv.tests.test_distributed as deepinv_distributed
import numpy as np
import pytest
import torch
from deepinv.distributed import DistributedContext, distribute
from deepinv.optim import L2, BaseOptim
from deepinv.optim.prior import PnP
from PIL import Image

from daep_deepinv import DAEP, DAEDenoiser, DAEPrior, HeavyBallIteration, ProximalMomentumIteration, degradation
from daep_prior import UNetDAE, load_dae, save_dae

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
    """With the Jacobian, too, if ``explicit_prior`` is False."""
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


@pytest.mark.parametrize("jacobian", [True, False])
def test_the_distributed_prior_is_the_prior_itself(context, make_smoother, images, jacobian):
    """To the border: the halo is that of the gradient, and the network pads as it does with the whole image."""
    x = images(2, 3, 24, 20)
    prior = DAEPrior(make_smoother("conv"), noise="fixed", jacobian=jacobian)
    whole = prior.grad(x), prior(x), prior.denoise(x)
    prior.denoiser = distribute(prior.denoiser, context, **PATCHES)
    for ours, theirs in zip((prior.grad(x), prior(x), prior.denoise(x)), whole, strict=True):
        assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)


def test_tiles_of_ones_own_are_refused(context, conv, images):
    prior = DAEPrior(conv)
    strategy = deepinv_distributed.create_strategy((1, 3, 24, 20), patch_size=8, overlap=4)
    prior.denoiser = distribute(prior.denoiser, context, tiling_strategy=strategy)
    with pytest.raises(ValueError, match="tiling_strategy"):
        prior.grad(images(1, 3, 24, 20))


# -- ours: two processes -------------------------------------------------------------------------------------------


def test_two_processes_restore_what_one_does(tmp_path, environment, root):
    """One image split over both, and images spread over both by the two documented commands."""
    torch.manual_seed(0)
    network = UNetDAE(widths=(4, 8), blocks=1)
    with torch.no_grad():
        network.body.tail.weight.mul_(5)
    weights = tmp_path / "network.safetensors"
    save_dae(network, weights)
    (tmp_path / "photos").mkdir()
    pixels = np.random.default_rng(0).integers(0, 255, (3, 40, 56, 3), dtype=np.uint8)
    for number, photo in enumerate(pixels):
        Image.fromarray(photo).save(tmp_path / "photos" / f"{number}.png")
    worker, example = Path(__file__).with_name("two_processes.py"), root / "examples" / "distributed_restore.py"
    launcher = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", *launcher, *map(str, (worker, tmp_path, example, weights))],
        capture_output=True, text=True, timeout=500, check=False,
        env={**environment, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-3000:]
    assert run.stdout.count("agreed") == 2
    model = DAEP(denoiser=load_dae(weights), max_iter=2)
    for number, photo in enumerate(pixels):
        y = torch.from_numpy(photo / np.float32(255)).permute(2, 0, 1)[None]
        alone = (255 * model(y, degradation(sigma=10 / 255))[0].clamp(0, 1)).round().permute(1, 2, 0).numpy()
        outputs = [tmp_path / "many" / f"{number}.png", *([tmp_path / "one.png"] if number == 0 else [])]
        for output in outputs:
            assert abs(np.asarray(Image.open(output)).astype(int) - alone).max() <= 1
