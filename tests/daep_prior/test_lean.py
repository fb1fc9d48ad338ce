"""One bit an activation: the same values and gradients as autograd, in less memory."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from daep_prior.inference import lean as module
from daep_prior.inference.lean import keep_signed, lean, pack_signs, translate
from daep_prior.networks import ConvDAE, UNetDAE

LAST = torch.channels_last
BODIES = {
    "conv": lambda: ConvDAE(depth=5, width=8, batch_norm=False).body,
    "unet": lambda: UNetDAE(widths=(6, 8, 10), blocks=2).body,
    "one scale": lambda: UNetDAE(widths=(5,), blocks=1).body,
}


def rand(*shape, dtype=torch.float32, seed=1):
    drawn = torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return drawn.to(dtype).contiguous(memory_format=LAST)


@pytest.fixture(params=BODIES)
def body(request):
    torch.manual_seed(0)
    return BODIES[request.param]().requires_grad_(False).to(memory_format=LAST)


@pytest.fixture(params=[0, 1 << 40], ids=["packed", "kept"])
def small(request, monkeypatch):
    """Both ways to remember an activation."""
    monkeypatch.setattr(module, "SMALL", request.param)


def saved_bytes(compute):
    """Memory that autograd holds for the backward pass of what ``compute`` returns."""
    held = {}

    def note(t):
        held[t.untyped_storage().data_ptr()] = t.untyped_storage().nbytes()
        return t

    with torch.autograd.graph.saved_tensors_hooks(note, lambda t: t):
        out = compute()
    assert out.requires_grad
    return sum(held.values())


# -- bits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32, torch.float64])
@pytest.mark.parametrize("shape", [(2, 8, 4, 4), (1, 3, 5, 7), (1, 1, 1, 1), (1, 5, 1, 3), (3, 24, 9, 2)])
def test_packed_signs_select_what_a_relu_lets_through(dtype, shape):
    y, g = rand(*shape, dtype=dtype).relu(), rand(*shape, dtype=dtype, seed=2)
    packed = pack_signs(y)
    assert packed.nbytes <= y.numel() / 8 + y.element_size()
    expected = torch.where(y > 0, g, 0)
    assert torch.equal(keep_signed(g, packed), expected)


def test_special_numbers_are_selected_as_divergence_demands():
    """NaN must come through, or a diverged run would pass for a restored image; a negative zero is no activation."""
    for dtype in (torch.bfloat16, torch.float32, torch.float64):
        y = torch.tensor([0.0, -0.0, torch.nan, -torch.nan, torch.inf, 1e-30], dtype=dtype).view(1, 6, 1, 1)
        assert keep_signed(torch.ones_like(y), pack_signs(y)).flatten().tolist() == [0, 0, 1, 1, 1, 1]


# -- values and gradients --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.usefixtures("small")
def test_value_and_gradient_are_those_of_autograd(body, dtype):
    body = body.to(dtype)
    chain = translate(body)
    z = rand(2, body_channels(body), 12, 20, dtype=dtype).requires_grad_()
    g = rand(2, 3, 12, 20, dtype=dtype, seed=2)
    expected, ours = body(z), lean(z, chain, body)
    assert type(ours.grad_fn) is not type(expected.grad_fn)
    assert torch.allclose(ours, expected, rtol=0, atol=1e-6)
    (by_autograd,) = torch.autograd.grad(expected, z, g)
    (by_bits,) = torch.autograd.grad(ours, z, g)
    assert by_autograd.abs().max() > 0.01
    assert (by_bits - by_autograd).abs().max() < 1e-6


@pytest.mark.usefixtures("small")
def test_bf16_gradients_are_those_of_autograd_too(body):
    body = body.to(torch.bfloat16)
    z = rand(1, body_channels(body), 16, 16, dtype=torch.bfloat16).requires_grad_()
    g = rand(1, 3, 16, 16, dtype=torch.bfloat16, seed=2)
    (expected,) = torch.autograd.grad(body(z), z, g)
    (ours,) = torch.autograd.grad(lean(z, translate(body), body), z, g)
    assert (ours - expected).abs().max() <= 0.02 * expected.abs().max()


@pytest.mark.usefixtures("small")
def test_a_graph_can_be_used_twice_and_leaves_its_inputs_alone(body):
    z = rand(1, body_channels(body), 8, 8).requires_grad_()
    g = rand(1, 3, 8, 8, seed=2)
    before, g_before = z.detach().clone(), g.clone()
    out = lean(z, translate(body), body)
    (first,) = torch.autograd.grad(out, z, g, retain_graph=True)
    (second,) = torch.autograd.grad(out, z, g)
    assert torch.equal(first, second)
    assert torch.equal(z, before) and torch.equal(g, g_before)


def test_second_derivatives_are_those_of_autograd(body):
    body = body.double()
    z = rand(1, body_channels(body), 8, 8, dtype=torch.float64)

    def second(function):
        leaf = z.clone().requires_grad_()
        inner = 2 * leaf  # not a leaf itself, as in an unfolded solver
        (gradient,) = torch.autograd.grad(function(inner).square().sum(), inner, create_graph=True)
        return torch.autograd.grad(gradient.square().sum(), leaf)[0]

    expected = second(body)
    assert expected.abs().max() > 0
    assert torch.allclose(second(lambda v: lean(v, translate(body), body)), expected, rtol=1e-9, atol=1e-12)


def test_forward_mode_and_functional_transforms_still_work(body):
    body = body.double()
    chain = translate(body)
    z, direction = (rand(1, body_channels(body), 8, 8, dtype=torch.float64, seed=s) for s in (1, 2))

    def network(v):
        return lean(v, chain, body)

    _, expected = torch.func.jvp(body, (z,), (direction,))
    assert torch.equal(torch.func.jvp(network, (z,), (direction,))[1], expected)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(z.requires_grad_(), direction)
        assert torch.equal(torch.autograd.forward_ad.unpack_dual(network(dual)).tangent, expected)
    z = z.detach()
    assert torch.equal(torch.func.vjp(network, z)[1](body(z))[0], torch.func.vjp(body, z)[1](body(z))[0])


def body_channels(body):
    return next(body.parameters()).shape[1]


# -- memory ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "factor"), [("conv", 12), ("unet", 10)])
def test_the_backward_pass_holds_many_times_less(name, factor, monkeypatch):
    monkeypatch.setattr(module, "SMALL", 0)
    dae = {"conv": ConvDAE(batch_norm=False), "unet": UNetDAE()}[name]
    body = dae.body.requires_grad_(False).to(torch.bfloat16).to(memory_format=LAST)
    z = rand(1, body_channels(body), 32, 32, dtype=torch.bfloat16).requires_grad_()
    weights = sum(p.nbytes for p in body.parameters())
    by_autograd = saved_bytes(lambda: body(z)) - weights
    assert saved_bytes(lambda: lean(z, translate(body), body)) < by_autograd / factor


def test_a_frozen_dae_uses_it(monkeypatch):
    monkeypatch.setattr(module, "SMALL", 0)
    for dae in (ConvDAE(width=16).fold(), UNetDAE().fold()):
        x = rand(1, 3, 32, 32).requires_grad_()
        frozen = saved_bytes(lambda dae=dae, x=x: dae(x, 0.1))
        assert frozen < saved_bytes(lambda dae=dae, x=x: dae.requires_grad_()(x, 0.1)) / 4


# -- what has no lean form -------------------------------------------------------------------------------------------

OTHERS = {
    "normalisation": nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 3, 3)),
    "another activation": nn.Sequential(nn.Conv2d(3, 4, 3), nn.SiLU(), nn.Conv2d(4, 3, 3)),
    "ReLU at the end": nn.Sequential(nn.Conv2d(3, 3, 3), nn.ReLU()),
    "ReLU at the start": nn.Sequential(nn.ReLU(), nn.Conv2d(3, 3, 3)),
    "nothing": nn.Sequential(),
    "dilation": nn.Conv2d(3, 3, 3, dilation=2),
    "groups": nn.Conv2d(3, 3, 3, groups=3),
    "reflecting padding": nn.Conv2d(3, 3, 3, padding=1, padding_mode="reflect"),
    "padding by name": nn.Conv2d(3, 3, 3, padding="same"),
    "overlapping strides": nn.Conv2d(3, 3, 3, stride=2),
    "output padding": nn.ConvTranspose2d(3, 3, 2, 2, output_padding=1),
    "a module of the user": nn.Identity(),
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS.keys())
def test_what_has_no_lean_form_is_left_to_autograd(other):
    assert translate(other) is None


def test_a_dae_with_another_body_still_has_its_gradient():
    dae = ConvDAE(depth=2, width=4)  # its normalisation is not folded
    dae.body = OTHERS["another activation"]
    dae.body[0].padding = dae.body[2].padding = (1, 1)
    x = rand(1, 3, 8, 8).requires_grad_()
    dae.requires_grad_(False).eval()(x).sum().backward()
    assert x.grad.isfinite().all() and (x.grad != 1).any()
