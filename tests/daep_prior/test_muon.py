"""The Muon optimizer."""

import pytest
import torch

from daep_prior.training.muon import Muon, orthogonalized


@pytest.mark.parametrize("shape", [(8, 8), (4, 30), (30, 4), (1, 7)])
def test_the_singular_values_of_a_step_are_about_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalized(matrix))
    assert values.min() > 0.5 and values.max() < 1.3


def test_a_step_keeps_the_singular_vectors():
    matrix = torch.randn(6, 20, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    u, s, v = torch.linalg.svd(matrix, full_matrices=False)
    turned = u.T @ orthogonalized(matrix) @ v.T
    off_diagonal = turned - torch.diag(turned.diagonal())
    assert off_diagonal.abs().max() < 1e-10
    assert turned.diagonal().min() > 0.5


def test_a_gradient_of_zero_moves_nothing():
    p = torch.nn.Parameter(torch.ones(3, 2, 3, 3))
    p.grad = torch.zeros_like(p)
    Muon([p]).step()
    assert bool((p == 1).all())


def test_all_directions_are_learned_at_the_same_pace():
    """Least squares with curvatures 1 and 10^-2: plain descent at a stable step would stand still in the second."""
    target = torch.eye(2)
    weight = torch.nn.Parameter(torch.zeros(2, 2))
    curvature = torch.tensor([1.0, 1e-2])
    optimizer = Muon([weight], lr=0.05, momentum=0.0)
    for _ in range(40):
        weight.grad = (weight.detach() - target) * curvature
        optimizer.step()
    assert (weight - target).abs().max() < 0.1


def test_kernels_of_any_memory_layout_take_the_same_step():
    kernel = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(0))
    gradient = torch.randn(6, 5, 3, 3, generator=torch.Generator().manual_seed(1))
    steps = []
    for layout in (torch.contiguous_format, torch.channels_last):
        p = torch.nn.Parameter(kernel.clone().to(memory_format=layout))
        p.grad = gradient.clone().to(memory_format=layout)
        Muon([p]).step()
        steps.append(p.detach())
    assert torch.allclose(*steps, atol=1e-6)


def test_vectors_are_refused():
    with pytest.raises(ValueError, match="params: got a vector"):
        Muon([torch.nn.Parameter(torch.zeros(3))])
