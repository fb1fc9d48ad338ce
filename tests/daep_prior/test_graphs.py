"""Gradients from a CUDA graph, as far as they can be tested without one: eligibility, copies, failures.

A stand-in for the recording computes the work again at every replay, into the tensor that a graph would write to.
"""

from __future__ import annotations

import warnings

import pytest
import torch

from daep_prior import NoiseSource, energy_gradient
from daep_prior import graphs as module
from daep_prior.energy import replicate
from daep_prior.graphs import GraphedGradient
from daep_prior.networks import ConvDAE, UNetDAE


def image(channels=3, size=8, seed=0):
    return torch.rand(2, channels, size, size, generator=torch.Generator().manual_seed(seed))


@pytest.fixture
def dae():
    torch.manual_seed(0)
    network = UNetDAE(widths=(4, 6), blocks=1).fold()
    network.compute_dtype = torch.float32
    return network


@pytest.fixture
def recordings(monkeypatch):
    """Replaces what needs a GPU; the list grows with every recording."""
    made = []

    def capture(practice, work, generators, device):
        assert all(isinstance(g, torch.Generator) for g in generators)
        out = torch.zeros_like(practice())
        made.append(out)
        return out, lambda: out.copy_(work())

    monkeypatch.setattr(module, "capture", capture)
    monkeypatch.setattr(GraphedGradient, "why_not", lambda self, x, sigma: self._given_up)
    return made


def plain(dae, x, sigma, noise, replicas=1):
    return energy_gradient(dae, x, sigma, noise.draw(replicate(x, replicas)), replicas)


# -- with a recording ------------------------------------------------------------------------------------------------


def test_replays_follow_image_width_and_noise(dae, recordings):
    graphed, ours, reference = GraphedGradient(dae, compile=False), NoiseSource([1, 2]), NoiseSource([1, 2])
    results = []
    for k, sigma in enumerate([0.2, 0.1, torch.tensor([0.05, 0.2])]):
        results.append(graphed(image(seed=k), sigma, ours))
        assert torch.allclose(results[-1], plain(dae, image(seed=k), sigma, reference), atol=1e-6)
    assert len(recordings) == 1
    assert not torch.equal(results[0], results[1])  # a result is not overwritten by the next
    ours.reset(), reference.reset()
    assert torch.allclose(graphed(image(), 0.2, ours), results[0], atol=1e-6)


def test_grey_images_are_shown_as_colour(dae, recordings):
    graphed, x = GraphedGradient(dae, compile=False), image(1)
    expected = plain(dae, x, 0.1, NoiseSource(3), 3)
    assert torch.allclose(graphed(x, 0.1, NoiseSource(3), 3), expected, atol=1e-6)


def test_another_shape_stream_or_weight_is_recorded_anew(dae, recordings):
    graphed, noise = GraphedGradient(dae, compile=False), NoiseSource(0)
    for count, x in enumerate([image(), image(size=12), image(size=12).double()], 1):
        graphed(x, 0.1, noise)
        assert len(recordings) == count
    other = NoiseSource(0)
    assert torch.allclose(graphed(image(), 0.1, other), plain(dae, image(), 0.1, NoiseSource(0)), atol=1e-6)
    dae.body.tail.weight.mul_(2)
    other.reset()
    assert torch.allclose(graphed(image(), 0.1, other), plain(dae, image(), 0.1, NoiseSource(0)), atol=1e-6)
    assert len(recordings) == 5


def test_the_network_is_compiled_once_a_recording_and_the_users_is_not(dae, recordings, monkeypatch):
    compiled = []
    monkeypatch.setattr(torch, "compile", lambda body, **_: (compiled.append(body), body)[1])
    graphed, noise = GraphedGradient(dae), NoiseSource(0)
    first = graphed(image(), 0.1, noise)
    graphed(image(), 0.1, noise)
    assert len(compiled) == 1 and not dae.compile_network
    assert torch.allclose(first, plain(dae, image(), 0.1, NoiseSource(0)), atol=1e-6)


# -- failures --------------------------------------------------------------------------------------------------------


def test_without_a_compiler_the_plain_network_is_recorded(dae, recordings, monkeypatch):
    def refuse(body, **_):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(torch, "compile", refuse)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        out = GraphedGradient(dae)(image(), 0.1, NoiseSource(0))
    assert torch.allclose(out, plain(dae, image(), 0.1, NoiseSource(0)), atol=1e-6)
    assert len(recordings) == 1


def test_a_failed_recording_ends_in_the_plain_gradient_and_is_not_tried_again(dae, recordings, monkeypatch):
    tries = []

    def fail(practice, *_):
        tries.append(practice())
        raise RuntimeError("operation not permitted when stream is capturing")

    monkeypatch.setattr(module, "capture", fail)
    graphed, ours, reference = GraphedGradient(dae, compile=False), NoiseSource(0), NoiseSource(0)
    with pytest.warns(RuntimeWarning, match=r"no CUDA graph.*recording failed.*capturing"):
        first = graphed(image(), 0.1, ours)
    assert torch.equal(first, plain(dae, image(), 0.1, reference))  # the streams have not moved by the attempt
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(graphed(image(seed=1), 0.1, ours), plain(dae, image(seed=1), 0.1, reference))
    assert len(tries) == 1


def test_running_out_of_memory_is_not_hidden(dae, recordings, monkeypatch):
    def fail(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "capture", fail)
    with pytest.raises(torch.OutOfMemoryError):
        GraphedGradient(dae)(image(), 0.1, NoiseSource(0))


def test_on_the_cpu_the_plain_gradient_runs_and_says_so_once(dae):
    graphed, ours, reference = GraphedGradient(dae), NoiseSource(0), NoiseSource(0)
    with pytest.warns(RuntimeWarning, match="the image is on cpu"):
        first = graphed(image(), 0.1, ours)
    assert torch.equal(first, plain(dae, image(), 0.1, reference))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert torch.equal(graphed(image(), 0.1, ours), plain(dae, image(), 0.1, reference))


# -- eligibility, on tensors that claim to be on a GPU -----------------------------------------------------------------


class OnGPU(torch.Tensor):
    """An image that says it is on a GPU."""

    device = torch.device("cuda")


@pytest.fixture
def x():
    return image().as_subclass(OnGPU)


def test_a_frozen_network_is_eligible(dae, x):
    assert GraphedGradient(dae).why_not(x, 0.1) is None


def test_what_is_to_be_differentiated_is_not(dae, x):
    graphed = GraphedGradient(dae)
    width = torch.tensor(0.1, requires_grad=True)
    assert "differentiated" in graphed.why_not(x, width)
    with torch.no_grad():
        assert graphed.why_not(x, width) is None
    assert "differentiated" in graphed.why_not(x.requires_grad_(), 0.1)
    trainable = ConvDAE(depth=2, width=4)
    assert "parameter" in GraphedGradient(trainable).why_not(image().as_subclass(OnGPU), 0.1)
