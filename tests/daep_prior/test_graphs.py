"""A network from CUDA graphs, as far as that can be tested without a GPU: results, recordings, failures.

A stand-in for the recording computes the work again at every replay, into the tensor that a graph would write to. On a
GPU the last test compares with the graphs themselves.
"""

from __future__ import annotations

import copy
import threading
import warnings

import pytest
import torch

from daep_prior import NoiseSource, energy_gradient
from daep_prior.inference import cuda_graphs as module
from daep_prior.networks import ConvDAE, UNetDAE


def image(channels=3, size=8, seed=0, count=2):
    return torch.rand(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture(params=[lambda: UNetDAE(widths=(4, 6), blocks=1), lambda: ConvDAE(depth=3, width=4)])
def dae(request):
    torch.manual_seed(0)
    network = request.param().fold()
    network.compute_dtype = torch.float32
    return network


@pytest.fixture
def plain(dae):
    """The same network, which never records."""
    return copy.deepcopy(dae)


@pytest.fixture
def recordings(monkeypatch, dae):
    """Replaces what needs a GPU; the list grows with every recording of ``dae``."""
    made = []

    def capture(works, device):
        outs = [work().detach().clone() for work in works]
        made.append(len(works))

        def replay(k):
            if k == 0:  # like a graph, it does not remember who started it
                passes.append(works[0]())
                outs[0].copy_(passes[-1].detach())
            else:
                outs[k].copy_(works[k]())

        passes = []
        return outs, [lambda k=k: replay(k) for k in range(len(works))]

    monkeypatch.setattr(module, "capture", capture)
    monkeypatch.setattr(module, "worthwhile", lambda z: z.shape[-1] <= 16)
    monkeypatch.setattr(module, "free_gpu_memory", lambda device: 2**40)
    monkeypatch.setattr(module, "stream_of", lambda device: 0)
    return made


def gradient(network, x, sigma=0.1, seed=0):
    return energy_gradient(network, x, sigma, NoiseSource(seed).draw(x))


# -- with a recording ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("channels", [1, 3])
def test_replays_follow_image_and_level(dae, recordings, plain, monkeypatch, channels):
    results = []
    for k, sigma in enumerate([0.2, 0.1, torch.tensor([0.05, 0.2])]):
        x = image(seed=k)[:, :channels]
        results.append((dae(x, sigma), energy_gradient(dae, x.expand(-1, 3, -1, -1), sigma)))
    assert len(recordings) == 1
    monkeypatch.setattr(module, "worthwhile", lambda z: False)
    for k, sigma in enumerate([0.2, 0.1, torch.tensor([0.05, 0.2])]):
        x = image(seed=k)[:, :channels]
        expected = plain(x, sigma), energy_gradient(plain, x.expand(-1, 3, -1, -1), sigma)
        for ours, theirs in zip(results[k], expected, strict=True):  # not overwritten by the next
            assert torch.allclose(ours, theirs, atol=1e-6)


def test_a_pass_in_between_does_not_disturb_a_product(dae, recordings, plain, monkeypatch):
    def products(network):
        xs = [image(seed=k).requires_grad_() for k in range(2)]
        outs = [network(x, 0.1) for x in xs]
        network(image(seed=5), 0.1)
        first = torch.autograd.grad(outs[0], xs[0], torch.ones_like(xs[0]), retain_graph=True)
        second = torch.autograd.grad(outs[1], xs[1], torch.ones_like(xs[1]))
        return *first, *second, *torch.autograd.grad(outs[0], xs[0], image(seed=7))

    ours = products(dae)
    assert len(recordings) == 1
    monkeypatch.setattr(module, "worthwhile", lambda z: False)
    for product, expected in zip(ours, products(plain), strict=True):
        assert torch.allclose(product, expected, atol=1e-6)


def test_second_derivatives_are_autograds(dae, recordings, plain):
    def second(network):
        x = image(size=4).requires_grad_()
        (first,) = torch.autograd.grad(network(x, 0.1).square().sum(), x, create_graph=True)
        return torch.autograd.grad(first.square().sum(), x)[0]

    assert torch.allclose(second(dae), second(plain), atol=1e-5)
    assert recordings


def test_threads_take_turns(dae, recordings, plain, monkeypatch):
    xs = [image(seed=k) for k in range(12)]
    results = [None] * len(xs)

    def work(k):
        results[k] = gradient(dae, xs[k])

    threads = [threading.Thread(target=work, args=(k,)) for k in range(len(xs))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    monkeypatch.setattr(module, "worthwhile", lambda z: False)
    for x, result in zip(xs, results, strict=True):
        assert torch.allclose(result, gradient(plain, x), atol=1e-6)


def test_each_size_and_stream_is_recorded_and_few_are_kept(dae, recordings, monkeypatch):
    for count, size in enumerate((4, 8, 12, 16), 1):
        dae(image(size=size), 0.1)
        assert len(recordings) == count
    dae(image(size=8), 0.1)
    dae(image(size=20), 0.1)  # too large
    assert len(recordings) == 4
    monkeypatch.setattr(module, "stream_of", lambda device: 1)
    dae(image(size=16), 0.1)
    assert len(recordings) == 5
    monkeypatch.setattr(module, "stream_of", lambda device: 0)
    dae(image(size=8), 0.1)  # was used not long ago
    assert len(recordings) == 5
    dae(image(size=4), 0.1)
    assert len(recordings) == 6


def test_other_weights_are_recorded_anew(dae, recordings):
    before = dae(image(), 0.1)
    with torch.no_grad():
        for parameter in dae.body.parameters():
            parameter.mul_(2)
    assert not torch.equal(dae(image(), 0.1), before)
    assert len(recordings) == 2


def test_a_copy_records_for_itself(dae, recordings):
    expected = dae(image(), 0.1)
    assert torch.equal(copy.deepcopy(dae)(image(), 0.1), expected)
    assert len(recordings) == 2


def test_a_network_that_learns_is_not_recorded(recordings):
    learning = ConvDAE(depth=2, width=4, batch_norm=False)
    learning(image(), 0.1).sum().backward()
    assert not recordings and all(p.grad is not None for p in learning.parameters())


def test_forward_mode_is_not_recorded(dae, recordings):
    x = image(count=1)
    dae(image(size=20), 0.1)  # too large to be recorded; makes the copy that is computed with
    _, product = torch.func.jvp(lambda z: dae(z, 0.1), (x,), (torch.ones_like(x),))
    assert product.shape == x.shape
    assert not recordings


def test_a_recording_made_in_inference_mode_serves_outside(dae, recordings, plain):
    with torch.inference_mode():
        inside = dae(image(), 0.1)
    assert torch.equal(dae(image(), 0.1), inside) and len(recordings) == 1
    assert gradient(dae, image()).shape == inside.shape


# -- failures --------------------------------------------------------------------------------------------------------


def test_a_failed_recording_ends_in_the_network_itself_and_is_not_tried_again(dae, recordings, plain, monkeypatch):
    tries = []

    def fail(works, device):
        tries.append(len(works))
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(module, "capture", fail)
    with pytest.warns(RuntimeWarning, match=r"no CUDA graph.*capturing"):
        first = gradient(dae, image())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(gradient(dae, image()), first)
        dae(image(), 0.1)
    assert tries == [2]
    monkeypatch.setattr(module, "worthwhile", lambda z: False)
    assert torch.equal(first, gradient(plain, image()))


def test_little_memory_is_left_alone(dae, recordings, monkeypatch):
    monkeypatch.setattr(module, "free_gpu_memory", lambda device: module.FREE_A_PIXEL * 8 * 8 - 1)
    dae(image(), 0.1)
    assert not recordings
    dae(image(size=4), 0.1)  # fits
    assert len(recordings) == 1


def test_nothing_is_recorded_on_the_cpu(dae, monkeypatch):
    monkeypatch.setattr(module, "capture", None)
    assert not module.worthwhile(image())
    gradient(dae, image())


def test_graphs_on_a_gpu_give_the_same_to_the_last_bit(dae, monkeypatch):
    if not torch.cuda.is_available():
        pytest.skip("needs a GPU")
    dae = dae.cuda()
    x = image(size=32).cuda()
    ours = [dae(x, 0.1), *(gradient(dae, x, seed=k) for k in range(3))]
    monkeypatch.setattr(module, "LARGEST", 0)
    for result, expected in zip(ours, [dae(x, 0.1), *(gradient(dae, x, seed=k) for k in range(3))], strict=True):
        assert torch.equal(result, expected)
