"""The denoising autoencoders: one function in several forms (trained, folded, fast), whatever the image."""

from __future__ import annotations

import copy
import math
import pickle
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from torch import nn

from daep_prior import load_dae
from daep_prior.images import per_image
from daep_prior.inference import fast_dtype
from daep_prior.networks import DAE, ConvDAE, UNetDAE, build_network

SIGMA = 25 / 255


def conv() -> ConvDAE:
    """A small network of the paper's kind with normalisation statistics as after training."""
    torch.manual_seed(0)
    dae = ConvDAE(sigma=SIGMA, depth=5, width=8)
    for module in dae.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 2)
            nn.init.normal_(module.bias)
            module.running_mean.normal_()
            module.running_var.uniform_(0.1, 3)
    return dae.eval()


def unet() -> UNetDAE:
    torch.manual_seed(0)
    return UNetDAE(widths=(6, 8, 10), blocks=1).eval()


NETWORKS = [pytest.param(conv, id="conv"), pytest.param(unet, id="unet")]


def exact(dae: DAE) -> DAE:
    """Folded, and in float32 even where bf16 is faster."""
    dae = dae.fold()
    dae.compute_dtype = torch.float32
    return dae


def images(*shape: int, dtype: torch.dtype = torch.float32, seed: int = 1) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=dtype)


# -- folding ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
@pytest.mark.parametrize("make", NETWORKS)
def test_folding_changes_no_output(make, dtype, tolerance):
    dae, x = make().to(dtype), images(2, 3, 20, 23, dtype=dtype)
    folded = exact(dae)
    assert not any(isinstance(m, nn.BatchNorm2d) for m in folded.modules())
    with torch.no_grad():
        assert (dae(x, SIGMA) - x).abs().max() > 1e-3
        assert (folded(x, SIGMA) - dae(x, SIGMA)).abs().max() < tolerance


def test_folding_leaves_the_original_trainable():
    dae = conv().train()
    folded = dae.fold()
    assert dae.training and all(p.requires_grad for p in dae.parameters())
    assert not folded.training and not any(p.requires_grad for p in folded.parameters())
    assert folded.config() == {**dae.config(), "batch_norm": False}


@pytest.mark.parametrize("make", NETWORKS)
def test_folding_leaves_the_users_random_state_alone(make):
    dae = make()
    state = torch.get_rng_state()
    dae.fold()
    assert torch.equal(torch.get_rng_state(), state)


# -- the fast copy ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETWORKS)
def test_bf16_convolutions_cost_little_and_leave_the_image_in_its_type(make):
    dae, x = exact(make()), images(1, 3, 32, 32)
    full = dae(x, SIGMA)
    dae.compute_dtype = torch.bfloat16
    fast = dae(x, SIGMA)
    assert fast.dtype == torch.float32
    assert 0 < (fast - full).abs().max() < 0.03 * (full - x).abs().max()


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        ({}, torch.float32),
        ({"avx512_f": True}, torch.float32),
        ({"avx512_bf16": True, "cpu_name": "Intel Xeon"}, torch.float32),
        ({"avx512_bf16": True, "cpu_name": "AMD EPYC"}, torch.bfloat16),
        ({"avx512_bf16": True}, torch.bfloat16),
        ({"avx512_bf16": True, "amx_bf16": True, "cpu_name": "Intel Xeon"}, torch.bfloat16),
    ],
)
def test_the_number_type_is_decided_by_what_the_processor_declares(declared, expected, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: declared, raising=False)
    assert fast_dtype(torch.device("cpu")) == expected
    assert fast_dtype(torch.device("meta")) == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["dae", "dae-sigma25"])
@pytest.mark.parametrize("size", [(24, 20), (64, 64)])
def test_an_image_and_its_gradient_are_the_same_to_the_last_bit_alone_and_in_a_batch(name, dtype, size):
    """Whatever way the processor computes a convolution of many images, which rounds otherwise than that of one."""
    dae = load_dae(name)
    dae.compute_dtype = dtype
    x = images(5, 3, *size).requires_grad_()
    together = dae(x, SIGMA)
    (gradient,) = torch.autograd.grad(together.square().sum(), x)
    for i in range(5):
        one = x[i : i + 1].detach().requires_grad_()
        alone = dae(one, SIGMA)
        assert torch.equal(alone[0], together[i])
        assert torch.equal(torch.autograd.grad(alone.square().sum(), one)[0][0], gradient[i])


@pytest.mark.parametrize("make", NETWORKS)
def test_float64_images_are_computed_in_float64(make):
    dae, x = make().fold(), images(1, 3, 16, 16, dtype=torch.float64)
    out = dae(x, SIGMA)
    assert out.dtype == torch.float64
    assert torch.allclose(out, make().double()(x, SIGMA), atol=1e-6)
    assert torch.allclose(out, copy.deepcopy(dae).double()(x, SIGMA), atol=1e-12, rtol=0)


def _half_by_optimizer(dae: DAE) -> None:
    for p in dae.parameters():
        p.requires_grad_(True)
        p.grad = p.detach() / 2
    torch.optim.SGD(dae.parameters(), lr=1.0).step()
    for p in dae.parameters():
        p.grad = None
        p.requires_grad_(False)


def _half_by_data(dae: DAE) -> None:
    for p in dae.parameters():
        p.data = p.data / 2


def _half_in_place(dae: DAE) -> None:
    for p in dae.parameters():
        p.mul_(0.5)


def _half_by_apply(dae: DAE) -> None:
    dae._apply(lambda t: t / 2)


def _halves(dae: DAE, prefix: str = "") -> dict[str, torch.Tensor]:
    return {prefix + key: value / 2 for key, value in dae.state_dict().items()}


CHANGES = {
    "load_state_dict": lambda dae: dae.load_state_dict(_halves(dae)),
    "load_state_dict with assign": lambda dae: dae.load_state_dict(_halves(dae), assign=True),
    "load_state_dict of a parent": lambda dae: nn.Sequential(dae).load_state_dict(_halves(dae, "0.")),
    "optimizer between two freezes": _half_by_optimizer,
    "parameter.data": _half_by_data,
    "in place": _half_in_place,
    "_apply": _half_by_apply,
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES.keys())
def test_weights_that_change_after_a_call_are_used_in_the_next(change):
    dae, x = exact(conv()), images(1, 3, 12, 12)
    before = dae(x)
    change(dae)
    fresh = ConvDAE(**{k: v for k, v in dae.config().items() if k != "architecture"}).eval()
    fresh.load_state_dict(dae.state_dict())
    with torch.no_grad():
        expected = fresh(x)
    assert not torch.allclose(before, expected, atol=1e-3)
    assert torch.allclose(dae(x), expected, atol=1e-5)


@pytest.mark.parametrize(
    "twin", [copy.deepcopy, lambda dae: pickle.loads(pickle.dumps(dae))], ids=["deepcopy", "pickle"]
)
def test_a_copy_is_independent(twin):
    dae, x = exact(conv()), images(1, 3, 12, 12)
    before = dae(x)
    other = twin(dae)
    assert torch.equal(other(x), before)
    _half_in_place(other)
    assert not torch.allclose(other(x), before, atol=1e-3)
    assert torch.equal(dae(x), before)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("make", NETWORKS)
def test_four_threads_get_the_images_and_gradients_of_one(make, dtype):
    dae = make().fold()
    dae.compute_dtype = dtype
    inputs = [images(1, 3, *((24, 20) if k % 2 else (33, 31)), seed=k) for k in range(4)]

    def work(dae: DAE, x: torch.Tensor) -> list[torch.Tensor]:
        results = []
        for _ in range(3):
            z = x.clone().requires_grad_()
            out = dae(z, SIGMA)
            results += [out.detach(), *torch.autograd.grad(out.square().sum(), z)]
        return results

    expected = [work(copy.deepcopy(dae), x) for x in inputs]
    for _ in range(5):
        fresh, start = copy.deepcopy(dae), threading.Barrier(4)  # all threads meet a network without a fast copy
        with ThreadPoolExecutor(4) as pool:
            jobs = [pool.submit(lambda x, d=fresh, s=start: (s.wait(), work(d, x))[1], x) for x in inputs]
            for job, results in zip(jobs, expected, strict=True):
                assert all(torch.equal(a, b) for a, b in zip(job.result(), results, strict=True))


@pytest.mark.parametrize("make", NETWORKS)
def test_the_fast_copy_is_no_part_of_the_module(make):
    dae = exact(make())
    names, count = list(dae.state_dict()), len(list(dae.parameters()))
    dae(images(1, 3, 8, 8), SIGMA)
    assert list(dae.state_dict()) == names and len(list(dae.parameters())) == count


def test_double_and_back_gives_the_same_images():
    dae, x = exact(conv()), images(1, 3, 12, 12)
    before = dae(x)
    assert dae.double()(x.double()).dtype == torch.float64
    assert torch.equal(dae.float()(x), before)


def test_a_first_call_in_inference_mode_does_not_spoil_later_gradients():
    dae, x = exact(conv()), images(1, 3, 12, 12)
    with torch.inference_mode():
        dae(x)
    x.requires_grad_()
    assert torch.autograd.grad(dae(x).sum(), x)[0].abs().sum() > 0


def test_training_mode_keeps_the_fast_path_unless_it_would_change_the_result():
    folded, x = exact(conv()), images(2, 3, 12, 12)
    expected = folded(x)
    assert torch.equal(folded.train()(x), expected)  # nothing to normalise
    normalised = conv().requires_grad_(False).train()
    assert not torch.allclose(normalised(x), expected, atol=1e-3)  # statistics of the batch


# -- images ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("size", [(37, 31), (1, 1), (1, 9), (3, 2), (8, 64)])
@pytest.mark.parametrize("channels", [1, 3])
def test_any_size_goes_in_and_comes_out(make, size, channels):
    dae, x = exact(make()), images(2, channels, *size)
    out = dae(x, SIGMA)
    assert out.shape == x.shape and out.dtype == x.dtype
    assert out.isfinite().all()


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize("sigma", [SIGMA, torch.tensor([0.02, 0.1])], ids=["a number", "a tensor"])
def test_grey_is_three_equal_channels(make, sigma):
    """Their noise is equal as well: along grey, as strong as independent noise of sqrt(3) times its level."""
    dae, x = exact(make()), images(2, 1, 13, 10)
    expected = dae(x.expand(-1, 3, -1, -1), sigma * math.sqrt(3)).mean(1, keepdim=True)
    assert torch.equal(dae(x, sigma), expected)


@pytest.mark.parametrize("make", NETWORKS)
def test_an_image_in_a_batch_is_treated_as_if_alone(make):
    dae, x = exact(make()), images(3, 3, 14, 11)
    sigma = torch.tensor([0.02, 0.1, 0.25])
    together = dae(x, sigma)
    for i in range(3):
        assert torch.allclose(dae(x[i : i + 1], float(sigma[i])), together[i : i + 1], atol=1e-6)


def test_padding_inside_the_network_does_not_shift_the_image():
    dae, x = exact(unet()), images(1, 3, 16, 16)
    assert torch.allclose(dae(x[..., :15, :15], SIGMA)[..., :4, :4], dae(x, SIGMA)[..., :4, :4], atol=0.1)
    dae.body.tail.weight.zero_()
    assert torch.equal(dae(x[..., :13, :11], SIGMA), x[..., :13, :11])


def test_a_bias_free_network_is_homogeneous_in_image_and_level():
    dae, x = exact(unet()), images(1, 3, 16, 16)
    assert torch.allclose(dae(x / 2, SIGMA / 2), dae(x, SIGMA) / 2, atol=1e-6)


def test_a_single_level_network_ignores_the_level_it_is_given():
    dae, x = exact(conv()), images(1, 3, 9, 9)
    assert torch.equal(dae(x, 0.3), dae(x))


@pytest.mark.parametrize(
    "bad",
    [images(3, 8, 8), images(1, 2, 8, 8), images(1, 4, 8, 8), torch.zeros(1, 3, 8, 8, dtype=torch.uint8)],
    ids=["no batch", "two channels", "four channels", "uint8"],
)
def test_unsuitable_images_are_refused(bad):
    with pytest.raises(ValueError, match="x: got"):
        conv().fold()(bad)


# -- noise levels ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETWORKS)
@pytest.mark.parametrize(
    "bad",
    [-0.1, math.nan, math.inf, torch.tensor([0.1, -0.1]), torch.tensor([0.1, math.nan]), torch.tensor([0.1, 0.1, 0.1])],
    ids=str,
)
def test_impossible_noise_levels_are_refused(make, bad):
    with pytest.raises(ValueError, match="sigma: got"):
        make().fold()(images(2, 3, 8, 8), bad)


def test_a_conditional_network_without_a_level_is_refused():
    with pytest.raises(ValueError, match="noise-conditional"):
        unet().fold()(images(1, 3, 8, 8))


@pytest.mark.parametrize(
    "sigma", [0.1, torch.tensor(0.1), torch.tensor([0.1]), torch.full((2,), 0.1), torch.full((2, 1, 1, 1), 0.1)]
)
def test_all_ways_to_say_one_level_agree(sigma):
    x = images(2, 3, 8, 8)
    assert torch.equal(per_image(sigma, x), torch.full((2, 1, 1, 1), 0.1))
    dae = exact(unet())
    assert torch.equal(dae(x, sigma), dae(x, 0.1))


@pytest.mark.parametrize(
    "arguments",
    [
        {"sigma": 0.1, "sigma_range": (0, 0.2)},
        {"sigma": None, "sigma_range": None},
        {"sigma": 0.0},
        {"sigma": math.nan},
        {"sigma": None, "sigma_range": (0.2, 0.1)},
        {"sigma": None, "sigma_range": (0.0, math.inf)},
        {"sigma": None, "sigma_range": (0.1,)},
        {"depth": 1},
        {"width": 0},
    ],
    ids=str,
)
def test_impossible_networks_are_refused(arguments):
    with pytest.raises(ValueError, match=r"sigma|depth|width"):
        ConvDAE(**arguments)


# -- gradients -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETWORKS)
def test_a_frozen_network_gives_gradients_to_the_image_only(make):
    dae, x = make().fold(), images(1, 3, 8, 8).requires_grad_()
    dae(x, SIGMA).square().sum().backward()
    assert x.grad is not None and x.grad.abs().sum() > 0
    assert all(p.grad is None for p in dae.parameters())


@pytest.mark.parametrize("make", NETWORKS)
def test_a_trainable_network_gives_gradients_to_its_parameters(make):
    dae, x = make().fold().requires_grad_(), images(1, 3, 8, 8)
    dae(x, SIGMA).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in dae.body.parameters())


@pytest.mark.parametrize("make", NETWORKS)
def test_the_gradient_is_that_of_the_output(make):
    dae = make().double().fold()
    x = images(1, 3, 5, 4, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: dae(x, SIGMA), x, atol=1e-6)


# -- configurations --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", NETWORKS)
def test_a_configuration_rebuilds_the_network(make):
    dae = make()
    twin = build_network(dae.config()).eval()
    twin.load_state_dict(dae.state_dict())
    x = images(1, 3, 9, 9)
    with torch.no_grad():
        assert torch.equal(twin(x, SIGMA), dae(x, SIGMA))
    assert repr(twin) == repr(dae)


@pytest.mark.parametrize("config", [{}, {"architecture": "transformer"}, {"architecture": "conv", "heads": 8}], ids=str)
def test_unknown_configurations_are_refused(config):
    with pytest.raises(ValueError, match=r"architecture|heads"):
        build_network(config)


def test_training_starts_near_the_identity():
    torch.manual_seed(0)
    x = images(1, 3, 32, 32)
    for dae in (ConvDAE(depth=6, width=16), UNetDAE(widths=(8, 16))):
        with torch.no_grad():
            assert (dae(x, SIGMA) - x).square().mean() < x.square().mean()
