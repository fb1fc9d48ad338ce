"""The proximal step of a blur by Fourier transforms, against deepinv's operators and a dense solution."""

import deepinv as dinv
import pytest
import torch

from daep_deepinv import degradation
from daep_deepinv.data_terms import fourier_blur as fourier
from daep_deepinv.data_terms.fourier_blur import FourierBlur
from daep_deepinv.data_terms.least_squares import PerImageL2

SIZE = (3, 13, 16)
KERNELS = [(3, 5), (4, 4), (1, 5), (6, 1), (1, 1), (13, 16)]


def rand(*shape, seed=0):
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def blurs(rows, cols):
    """Blurs of all kinds, among them with a kernel a channel and a kernel an image."""
    shapes = {"one": (1, 1, rows, cols), "channels": (1, 3, rows, cols), "images": (2, 1, rows, cols)}
    for name, shape in shapes.items():
        filter = rand(*shape) / (rows * cols)
        yield f"valid {name}", dinv.physics.Blur(filter, padding="valid")
        if 1 < rows < SIZE[1] and cols > 1:  # deepinv's own adjoint fails for kernels of one row or column
            yield f"circular {name}", dinv.physics.Blur(filter, padding="circular")
        if name != "images":
            yield f"Fourier {name}", dinv.physics.BlurFFT(SIZE, filter)


@pytest.mark.parametrize("kernel", KERNELS, ids=str)
def test_the_step_solves_the_normal_equations_of_the_physics(kernel):
    x, target = rand(2, *SIZE, seed=1), rand(2, *SIZE, seed=2)
    for name, physics in blurs(*kernel):
        y = physics.A(target)
        assert FourierBlur.handles(physics, x, y), name
        v = FourierBlur(physics, y, SIZE[1:]).prox(x, 5.0, 1e-12, 300)
        assert (v - x + 5 * physics.A_adjoint(physics.A(v) - y)).abs().max() < 1e-8, name


def test_the_default_tolerance_is_a_tenth_of_a_grey_level(images):
    """At the weights that the annealed schedule meets."""
    physics = degradation(rand(9, 7))
    y = physics.A(images(1, 3, 48, 40))
    x = images(1, 3, 48, 40)
    for weight in (0.5, 5.0, 50.0):
        blur = FourierBlur(physics, y, (48, 40))
        exact = blur.prox(x, weight, 1e-7, 500)
        assert (blur.prox(x, weight, float(physics.tol), int(physics.max_iter)) - exact).abs().max() < 0.4 / 255


def test_weights_may_differ_between_images(images):
    physics = degradation(rand(3, 5))
    x, y = images(2, *SIZE), physics.A(images(2, *SIZE))
    blur = FourierBlur(physics, y, SIZE[1:])
    together = blur.prox(x, torch.tensor([0.5, 20.0]).view(2, 1, 1, 1), 1e-6, 200)
    for i, weight in enumerate([0.5, 20.0]):
        alone = FourierBlur(physics, y[i : i + 1], SIZE[1:]).prox(x[i : i + 1], weight, 1e-6, 200)
        assert (alone - together[i : i + 1]).abs().max() < 1e-5


def test_other_physics_are_left_alone(images):
    class Derived(dinv.physics.Blur):
        def A(self, x, **kwargs):
            return 2 * super().A(x, **kwargs)

    x, filter = images(1, *SIZE), rand(1, 1, 3, 3).float()
    others = [
        Derived(filter),
        dinv.physics.Blur(filter, padding="replicate"),
        dinv.physics.Inpainting(SIZE, mask=0.5),
        dinv.physics.Blur(rand(1, 1, 20, 3).float(), padding="circular"),
    ]
    for physics in others:
        assert not FourierBlur.handles(physics, x, x)
    assert not FourierBlur.handles(dinv.physics.Blur(filter), x.half(), x.half())


def test_a_new_measurement_or_kernel_is_noticed(images):
    """What is prepared once must never serve another problem."""
    fidelity, x = PerImageL2(), images(1, *SIZE)
    physics = degradation(rand(3, 5))
    y = physics.A(images(1, *SIZE))

    def residual():
        v = fidelity.prox(x, y, physics, gamma=3.0)
        return float((v - x + 3 * physics.A_adjoint(physics.A(v) - y)).abs().max())

    assert residual() < 1e-3
    y.mul_(0.3)
    assert residual() < 1e-3
    physics.filter.copy_(physics.filter.flip(3))
    assert residual() < 1e-3
    physics.update(filter=physics.filter.flip(2))
    assert residual() < 1e-3


def test_the_blur_is_prepared_once_for_a_restoration(images, monkeypatch):
    made = []
    original = FourierBlur.__init__
    monkeypatch.setattr(FourierBlur, "__init__", lambda self, *a: (made.append(1), original(self, *a))[1])
    physics, fidelity = degradation(rand(3, 5)), PerImageL2()
    y = physics.A(images(1, *SIZE))
    for _ in range(3):
        fidelity.prox(images(1, *SIZE), y, physics)
    assert len(made) == 1


def test_a_step_starts_from_the_border_that_the_last_one_found(images, monkeypatch):
    physics, x = degradation(rand(5, 5)), 1 - images(1, *SIZE)
    y = physics.A(images(1, *SIZE))
    counts = []
    original = fourier.preconditioned_conjugate_gradients

    def counting(normal, *arguments):
        counts.append(0)

        def counted(v):
            counts[-1] += 1
            return normal(v)

        return original(counted, *arguments)

    monkeypatch.setattr(fourier, "preconditioned_conjugate_gradients", counting)
    blur = FourierBlur(physics, y, x.shape[-2:])
    first = blur.prox(x, 30.0, 1e-5, 50)
    again = blur.prox(x, 30.0, 1e-5, 50)
    near = blur.prox(x + 0.001, 30.0, 1e-5, 50)
    assert (again - first).abs().max() < 1e-4
    assert counts[1] == 0 and counts[2] < counts[0]
    assert (near - FourierBlur(physics, y, x.shape[-2:]).prox(x + 0.001, 30.0, 1e-7, 50)).abs().max() < 1e-3


def test_the_step_can_be_differentiated(images):
    """Unfolded training passes gradients to the image, the measurement and the weight."""
    physics = degradation(rand(3, 5)).to(torch.float64)
    x = rand(1, 1, 6, 7).requires_grad_()
    y = rand(1, 1, 4, 3, seed=3).requires_grad_()
    weight = torch.tensor(2.0, dtype=torch.float64, requires_grad=True)

    def step(x, y, weight):
        return FourierBlur(physics, y, (6, 7)).prox(x, weight, 0.0, 30)

    assert torch.autograd.gradcheck(step, (x, y, weight), atol=1e-5)
