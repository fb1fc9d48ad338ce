"""Conjugate gradients, each image by itself."""

import torch

from daep_deepinv.linear_algebra.conjugate_gradients import conjugate_gradients
from daep_deepinv.linear_algebra.preconditioned import preconditioned_conjugate_gradients


def system(seed: int = 0) -> torch.Tensor:
    root = torch.randn(6, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(seed))
    return root @ root.T + torch.eye(6, dtype=torch.float64)


def test_a_system_is_solved_and_zero_stays_zero():
    matrix = system()
    right = torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    right[1] = 0
    found = conjugate_gradients(lambda v: v @ matrix, right, 1e-12 * right.norm(dim=1), 100)
    assert torch.allclose(found, torch.linalg.solve(matrix, right.T).T, atol=1e-9)
    assert torch.equal(found[1], right[1])


def test_an_image_stops_at_its_own_bound_and_not_before():
    matrix, right = system(), torch.ones(2, 6, dtype=torch.float64)
    found = conjugate_gradients(lambda v: v @ matrix, right, torch.tensor([1e-9, 10.0], dtype=torch.float64), 100)
    assert (found[0] @ matrix - right[0]).norm() <= 1e-9
    assert torch.equal(found[1], torch.zeros(6, dtype=torch.float64))


def test_no_more_iterations_than_allowed():
    calls = []

    def normal(v):
        calls.append(v)
        return v @ system()

    conjugate_gradients(normal, torch.ones(1, 6, dtype=torch.float64), torch.zeros(1, dtype=torch.float64), 3)
    assert len(calls) == 3


def test_a_preconditioner_that_is_the_inverse_needs_one_iteration():
    matrix, right = system(), torch.ones(1, 6, dtype=torch.float64)
    inverse = torch.linalg.inv(matrix)
    bound = torch.full((1,), 1e-9, dtype=torch.float64)
    found = preconditioned_conjugate_gradients(lambda v: v @ matrix, right, lambda v: v @ inverse, bound, 1)
    assert torch.allclose(found, right @ inverse, atol=1e-10)


def test_a_preconditioner_leaves_the_solution():
    matrix, right = system(), torch.randn(2, 6, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    scales = torch.rand(6, dtype=torch.float64, generator=torch.Generator().manual_seed(2)) + 0.1
    bound = 1e-12 * right.norm(dim=1)
    found = preconditioned_conjugate_gradients(lambda v: v @ matrix, right, lambda v: scales * v, bound, 100)
    assert torch.allclose(found, torch.linalg.solve(matrix, right.T).T, atol=1e-9)
