"""Tiles: what is computed part by part is what would be computed at once, in less memory."""

import pytest
import torch
from torch import nn

from daep_prior import ConvDAE, NoiseSource, UNetDAE, energy, energy_gradient, load_dae
from daep_prior.tiling import Tiler, spans
from daep_prior.tiling import tiler as module

WIDTH = 25 / 255
#: Free memory, bytes, of a device that is nearly full, and of one that every image fits into.
FULL, EMPTY = 2**20, 2**50


def image(batch=1, channels=3, height=70, width=90, dtype=torch.float64):
    """A smooth image. Float64, as rounding that turns a ReLU on or off changes a gradient by more than rounding."""
    coarse = torch.rand(batch, channels, 6, 7, generator=torch.Generator().manual_seed(0))
    return nn.functional.interpolate(coarse, (height, width), mode="bicubic").clamp(0, 1).to(dtype)


def noise(x, count=1):
    return NoiseSource(3).draw(x, count)


def small_network(kind="conv", **kwargs):
    torch.manual_seed(0)
    if kind == "conv":
        network = ConvDAE(depth=5, width=8, batch_norm=False, **kwargs)
    else:
        network = UNetDAE(widths=(4, 8), blocks=1, **kwargs)
    last = network.body[-1] if kind == "conv" else network.body.tail
    with torch.no_grad():
        last.weight.mul_(10)  # networks start near the identity, which would be the same in tiles of any kind
    return network.eval().requires_grad_(False)


class Counter:
    """Counts the evaluations of a denoiser and notes the largest image it was shown."""

    def __init__(self, network):
        self.network, self.calls, self.largest = network, 0, 0
        self.radius, self.multiple = network.radius, network.multiple

    def __call__(self, x, sigma):
        self.calls += 1
        self.largest = max(self.largest, x.numel())
        return self.network(x, sigma)


@pytest.fixture
def memory(monkeypatch):
    """``memory(bytes)`` sets what is free."""
    return lambda free: monkeypatch.setattr(module, "free_memory", lambda device: free)


# -- exact where the field allows ------------------------------------------------------------------------------------


def test_the_gradient_of_the_paper_network_is_exact_in_tiles():
    """All its 20 layers: a halo of once their number, instead of twice, would show here."""
    network = load_dae("dae-sigma25")
    network.compute_dtype = torch.float32
    x = image(height=128, width=24, dtype=torch.float32)
    fields = noise(x)
    whole = energy_gradient(network, x, WIDTH, fields)
    tiled = Tiler(32).gradient(network, x, WIDTH, fields)
    assert whole.abs().max() > 1e-2
    assert torch.allclose(tiled, whole, rtol=0, atol=1e-5)
    too_narrow = Counter(network)
    too_narrow.radius //= 2
    assert (Tiler(32).gradient(too_narrow, x, WIDTH, fields) - whole).abs().max() > 1e-5


@pytest.mark.parametrize("kind", ["conv", "unet"])
@pytest.mark.parametrize("size", [8, 13, 32])
@pytest.mark.parametrize("jacobian", [True, False])
def test_tiles_of_any_size_give_the_whole_gradient(kind, size, jacobian):
    network = Counter(small_network(kind))
    x = image(height=61, width=47)  # neither a multiple of the tile nor of what the U-Net pads to
    fields = noise(x)
    whole = energy_gradient(network, x, WIDTH, fields, jacobian=jacobian)
    before, network.largest = network.calls, 0
    tiled = Tiler(size).gradient(network, x, WIDTH, fields, jacobian=jacobian)
    assert network.calls > before
    assert network.largest < x.numel()
    assert torch.allclose(tiled, whole, rtol=0, atol=1e-6)


@pytest.mark.parametrize("kind", ["conv", "unet"])
def test_energy_and_denoised_image_are_the_whole_ones(kind):
    network = small_network(kind)
    x = image(batch=2, height=61, width=47)
    fields = noise(x, count=2)
    tiler = Tiler(16)
    assert torch.allclose(tiler.denoise(network, x, WIDTH), network(x, WIDTH), rtol=0, atol=1e-6)
    assert torch.allclose(tiler.energy(network, x, WIDTH, fields), energy(network, x, WIDTH, fields), rtol=1e-5)


@pytest.mark.parametrize("sigma", [0.1, torch.tensor([0.02, 0.1, 0.2]), torch.full((3, 1, 1, 1), 0.1)])
def test_each_image_keeps_its_own_width_and_noise(sigma):
    network = small_network("unet")
    x = image(batch=3)
    fields = NoiseSource([1, 2, 3]).draw(x, 2)
    whole = energy_gradient(network, x, sigma, fields)
    assert torch.allclose(Tiler(32).gradient(network, x, sigma, fields), whole, rtol=0, atol=1e-6)


def test_a_grey_image_is_shown_as_colour_in_tiles_too():
    network = small_network()
    x = image(channels=1)
    fields = noise(x.expand(-1, 3, -1, -1))
    whole = energy_gradient(network, x, WIDTH, fields, replicas=3)
    assert torch.allclose(Tiler(32).gradient(network, x, WIDTH, fields, replicas=3), whole, rtol=0, atol=1e-6)


def test_a_tiled_gradient_can_be_trained_through():
    network = small_network().double().requires_grad_()
    x = image(height=40, width=40).requires_grad_()
    fields = noise(x)
    wanted = [x, *network.parameters()]
    whole = torch.autograd.grad(energy_gradient(network, x, WIDTH, fields).square().sum(), wanted)
    tiled = torch.autograd.grad(Tiler(16).gradient(network, x, WIDTH, fields).square().sum(), wanted)
    for a, b in zip(whole, tiled, strict=True):
        assert torch.allclose(a, b, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    "network",
    [ConvDAE(depth=4, width=4), UNetDAE(widths=(4, 4), blocks=2), UNetDAE(widths=(4, 4, 4), blocks=1)],
    ids=["conv", "two scales", "three scales"],
)
def test_the_stated_radius_is_that_of_the_network(network):
    """With positive weights nothing cancels, so every input that can change an output does."""
    network.double().eval()
    with torch.no_grad():
        for p in network.parameters():
            p.fill_(0.1)
    size = 2 * network.radius + 3 * network.multiple
    reached = 0
    for offset in range(network.multiple):
        x = torch.rand(1, 3, size, size, dtype=torch.float64).requires_grad_()
        centre = size // 2 + offset
        network(x, WIDTH)[0, 0, centre, centre].backward()
        places = x.grad[0].abs().sum(0).nonzero()
        reached = max(reached, int((places - centre).abs().max()))
    assert network.radius - network.multiple < reached <= network.radius


# -- blended where it does not ---------------------------------------------------------------------------------------


def test_tiles_of_a_wide_network_are_blended_to_a_good_approximation():
    """The shipped U-Net looks further than its halo."""
    network = load_dae("dae")
    network.compute_dtype = torch.float32
    assert network.radius > module.EXACT_HALO
    x = image(height=56, width=320, dtype=torch.float32)
    fields = noise(x)
    whole = energy_gradient(network, x, WIDTH, fields)
    tiled = Tiler(64).gradient(network, x, WIDTH, fields)
    assert 0 < (tiled - whole).abs().max() < 1e-3
    assert (tiled - whole).square().mean() < (1e-3) ** 2 * whole.square().mean()


def test_a_network_without_a_stated_radius_gets_the_wide_halo():
    network = small_network()
    seen = []

    def denoise(x, sigma):
        seen.append(x.shape[-1])
        return network(x, sigma)

    x = image(height=32, width=400)
    out = Tiler(64).denoise(denoise, x, WIDTH)
    assert max(seen) >= 64 + 2 * module.HALO
    assert torch.allclose(out, network(x, WIDTH), rtol=0, atol=1e-6)


# -- the cuts --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("length", [1, 7, 16, 100, 333])
@pytest.mark.parametrize("size", [8, 16, 50, 1000])
@pytest.mark.parametrize(("halo", "multiple", "ramp"), [(0, 1, 0), (5, 1, 0), (20, 8, 0), (24, 8, 16), (3, 1, 2)])
def test_the_parts_cover_an_axis_once(length, size, halo, multiple, ramp):
    total = torch.zeros(length)
    for span in spans(length, size, halo, multiple, ramp):
        assert span.window.start % multiple == 0
        assert 0 <= span.window.start < span.window.stop <= length
        assert span.window.start + span.kept.start == span.target.start
        assert span.kept.stop - span.kept.start == span.target.stop - span.target.start
        # what is kept is as far from an artificial end as was asked for
        assert span.window.start == 0 or span.target.start - span.window.start >= halo - ramp
        assert span.window.stop == length or span.window.stop - span.target.stop >= halo - ramp
        assert span.window.stop - span.window.start <= size + 2 * (multiple + halo)
        weight = torch.ones(span.target.stop - span.target.start) if span.weight is None else span.weight
        assert bool((weight >= 0).all())
        total[span.target] += weight
    assert torch.allclose(total, torch.ones(length), atol=1e-6)


# -- when ------------------------------------------------------------------------------------------------------------


def test_an_image_that_fits_is_never_cut(memory):
    memory(EMPTY)
    network = Counter(small_network())
    x = image(batch=2, height=200, width=200)
    for tiler in (Tiler("auto"), Tiler(None), Tiler(200)):
        network.calls = 0
        tiler.gradient(network, x, WIDTH)
        assert network.calls == 1


def test_tiles_shrink_with_the_memory_and_the_result_stays(memory):
    network = Counter(small_network())
    x = image(height=300, width=300)
    fields = noise(x)
    whole = energy_gradient(network, x, WIDTH, fields)
    seen = []
    for free in (200 * 2**20, 60 * 2**20, 30 * 2**20):
        memory(free)
        network.largest = 0
        assert torch.allclose(Tiler().gradient(network, x, WIDTH, fields), whole, rtol=0, atol=1e-6)
        seen.append(network.largest)
    assert seen == sorted(seen, reverse=True)
    assert seen[0] == x.numel() > seen[-1]


def test_a_batch_is_taken_apart_before_an_image_is(memory):
    network = Counter(small_network("unet"))
    x = image(batch=6, height=128, width=128)
    whole = energy_gradient(network, x, WIDTH)
    memory(60 * 2**20)
    network.largest = 0
    tiled = Tiler().gradient(network, x, WIDTH)
    assert x[0].numel() <= network.largest < x.numel()
    assert network.largest % x[0].numel() == 0
    assert torch.allclose(tiled, whole, rtol=0, atol=1e-6)


def test_a_full_memory_still_gives_a_result(memory):
    memory(FULL)
    network = Counter(small_network())
    x = image(height=150, width=150)
    tiled = Tiler().gradient(network, x, WIDTH)
    assert network.largest < x.numel()
    assert torch.allclose(tiled, energy_gradient(network, x, WIDTH), rtol=0, atol=1e-6)


def test_the_memory_is_looked_at_again_after_a_reset(memory):
    network = Counter(small_network())
    x = image(height=150, width=150)
    tiler = Tiler()
    memory(FULL)
    tiler.gradient(network, x, WIDTH)
    memory(EMPTY)
    for reset, calls in ((False, False), (True, True)):
        if reset:
            tiler.reset()
        network.calls = 0
        tiler.gradient(network, x, WIDTH)
        assert (network.calls == 1) == calls


class Half:
    """Shares tiles as two processes do, one after the other."""

    def __init__(self, rank):
        self.rank = rank

    def local_indices(self, count):
        return range(self.rank, count, 2)

    def all_reduce(self, x):
        return x


@pytest.mark.parametrize("kind", ["conv", "unet"])
def test_what_two_processes_compute_adds_up_to_the_whole(kind):
    network = small_network(kind)
    x = image()
    fields = noise(x)
    parts = [Tiler(32).gradient(network, x, WIDTH, fields, share=Half(rank)) for rank in (0, 1)]
    assert torch.allclose(sum(parts), energy_gradient(network, x, WIDTH, fields), rtol=0, atol=1e-6)
    assert all(bool((part == 0).any()) for part in parts)


@pytest.mark.parametrize("tile", [0, -1, 7, 2.5, "large", True, [64]])
def test_a_tile_that_is_no_size_is_refused_with_what_is_expected(tile):
    with pytest.raises(ValueError, match=r"tile: got .*; expected 'auto', None"):
        Tiler(tile)
