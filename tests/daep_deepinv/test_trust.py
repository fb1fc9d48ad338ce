"""Tests of a physics object that are made once: what is remembered, and when it is forgotten."""

import gc
import weakref

import deepinv as dinv
import pytest
import torch
from deepinv.physics import LinearPhysics

from daep_deepinv.checks import adjoint_warning
from daep_deepinv.operators.number_type import in_number_type, number_type
from daep_deepinv.operators.remembered import remembered
from daep_deepinv.operators.right_adjoint import DifferentiatedAdjoint, black_image, with_right_adjoint
from daep_deepinv.operators.trust import adjoint_test

SIZE = (3, 16, 18)
GAUSSIAN = dinv.physics.functional.gaussian_blur(sigma=(1.0, 1.0))
ROW = torch.ones(1, 1, 1, 6) / 6


class Counting(LinearPhysics):
    """A gain, and how often it is applied."""

    def __init__(self):
        super().__init__()
        self.calls = []
        self.register_buffer("gain", torch.ones(1))

    def A(self, x, **kwargs):
        self.calls.append(1)
        return self.gain * x

    def A_adjoint(self, y, **kwargs):
        return self.gain * y


def ask(physics, question="answer"):
    asked = []
    remembered(physics, question, lambda: asked.append(1))
    return len(asked)


def test_an_answer_is_remembered_for_the_object():
    physics = dinv.physics.Blur(GAUSSIAN)
    assert [ask(physics), ask(physics), ask(physics, "other"), ask(dinv.physics.Blur(GAUSSIAN))] == [1, 0, 1, 1]


CHANGES = {
    "a parameter": lambda p: p.update_parameters(filter=GAUSSIAN / 2),
    "in place": lambda p: p.filter.mul_(2),
    "a setting": lambda p: setattr(p, "padding", "circular"),
    "the number type": lambda p: p.double(),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_operator_is_asked_again(change):
    physics = dinv.physics.Blur(GAUSSIAN.clone())
    ask(physics)
    CHANGES[change](physics)
    assert ask(physics) == 1


def test_a_part_of_a_stack_that_changes_is_noticed():
    part = dinv.physics.Blur(GAUSSIAN.clone())
    physics = dinv.physics.StackedLinearPhysics([part, dinv.physics.Denoising()])
    ask(physics)
    part.update_parameters(filter=GAUSSIAN / 2)
    assert [ask(physics), ask(physics)] == [1, 0]


def test_the_noise_and_the_settings_of_a_solver_are_no_part_of_the_operator():
    physics = dinv.physics.Blur(GAUSSIAN)
    ask(physics)
    physics.set_noise_model(dinv.physics.GaussianNoise(0.3))
    physics.tol, physics.max_iter = 1e-6, 7
    assert ask(physics) == 0


def test_an_operator_that_refreshes_its_tensors_when_it_is_applied_is_known():
    physics = dinv.physics.Downsampling(SIZE, "bicubic", 2)
    ask(physics)
    physics.A(torch.zeros(1, *SIZE))
    assert ask(physics) == 0


def test_the_memory_keeps_no_object_alive():
    physics = dinv.physics.Blur(GAUSSIAN)
    physics.again = physics.A
    adjoint_test(physics, torch.zeros(1, *SIZE))
    seen = weakref.ref(physics)
    del physics
    gc.collect()
    assert seen() is None


def test_the_adjoint_is_tested_once():
    physics = Counting()
    for _ in range(3):
        assert adjoint_test(physics, torch.zeros(2, *SIZE)).ratio == pytest.approx(1)
    assert len(physics.calls) == 1
    physics.gain.fill_(2.0)
    assert adjoint_test(physics, torch.zeros(2, *SIZE)).ratio == pytest.approx(1)
    assert len(physics.calls) == 2


@pytest.mark.parametrize("size", [24, 30, 48, 64, 96, 144])
@pytest.mark.parametrize("shape", [(1, 3), (3, 1), (1, 6), (6, 1), (9, 1)])
def test_a_wrong_adjoint_is_seen_at_every_size(shape, size):
    # <u, A_adjoint A u> alone misses about half of these
    image = torch.zeros(1, 1, size, size)
    physics = dinv.physics.Blur(torch.ones(1, 1, *shape) / (shape[0] * shape[1]), padding="replicate")
    assert not adjoint_test(physics, image).passed
    mended = with_right_adjoint(physics, image)
    assert isinstance(mended, DifferentiatedAdjoint) and adjoint_test(mended, image).error < 1e-4
    assert "is not the adjoint of A" in str(adjoint_warning(mended, image))


@pytest.mark.parametrize("padding", ["valid", "circular", "reflect", "replicate", "constant"])
def test_right_adjoints_pass(padding):
    physics = dinv.physics.Blur(GAUSSIAN, padding=padding)
    test = adjoint_test(physics, torch.zeros(2, *SIZE))
    assert test.passed and test.error < 1e-5


def test_a_large_image_under_a_blur_with_a_border_is_tested_on_a_part():
    physics, seen = dinv.physics.Blur(GAUSSIAN, padding="circular"), []
    physics.A_adjoint = lambda y, **_: seen.append(y.shape) or dinv.physics.Blur.A_adjoint(physics, y)
    assert adjoint_test(physics, torch.zeros(1, 1, 300, 400)).passed
    assert set(seen) == {(1, 1, 256, 256)}


NOT_LINEAR = {
    "affine": lambda v: v + 0.2,
    "square": lambda v: v.square(),
    "random": lambda v: v * (torch.rand(v.shape) > 0.5),
}


@pytest.mark.parametrize("name", NOT_LINEAR)
def test_a_linear_physics_that_is_not_linear_is_named(name):
    physics = LinearPhysics(A=lambda v, **_: NOT_LINEAR[name](v), A_adjoint=lambda v, **_: NOT_LINEAR[name](v))
    warning = adjoint_warning(physics, torch.zeros(1, *SIZE))
    assert "LinearPhysics is not linear: A(2 u) is not 2 A(u)" in str(warning)


WRONG = {
    "coded aperture, even": lambda: dinv.physics.CompressiveSpectralImaging(SIZE, rng=torch.Generator()),
    "row under replicate": lambda: dinv.physics.Blur(ROW, "replicate"),
    "row under reflect": lambda: dinv.physics.Blur(ROW, "reflect"),
    "written by hand": lambda: LinearPhysics(A=lambda x, **_: x.roll(3, -1), A_adjoint=lambda y, **_: y.roll(3, -1)),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_adjoint_is_replaced(name):
    physics = WRONG[name]()
    x = torch.randn(2, *SIZE, generator=torch.Generator().manual_seed(0))
    like = black_image(physics.A(x), physics)
    assert like.shape == x.shape
    mended = with_right_adjoint(physics, like)
    assert isinstance(mended, DifferentiatedAdjoint)
    y = torch.randn(physics.A(x).shape, generator=torch.Generator().manual_seed(1))
    forward, backward = (mended.A(x) * y).sum(), (x * mended.A_adjoint(y)).sum()
    assert torch.allclose(forward, backward, rtol=1e-4, atol=1e-3)


@pytest.mark.parametrize(
    "physics",
    [dinv.physics.Blur(GAUSSIAN, "reflect"), dinv.physics.Denoising(), dinv.physics.DownsamplingMatlab(factor=2)],
    ids=lambda p: type(p).__name__,
)
def test_a_right_adjoint_is_kept(physics):
    assert with_right_adjoint(physics, torch.zeros(1, *SIZE)) is physics


def test_an_operator_that_cannot_be_differentiated_stays_as_it_is():
    def hidden(x, **_):
        return x.detach().roll(3, -1)

    physics = LinearPhysics(A=hidden, A_adjoint=lambda y, **_: y)
    assert with_right_adjoint(physics, torch.zeros(1, *SIZE)) is physics


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_a_physics_is_copied_to_another_number_type_once(dtype):
    stack = dinv.physics.StackedLinearPhysics([dinv.physics.Blur(GAUSSIAN.to(dtype)), dinv.physics.Denoising()])
    assert number_type(stack) == dtype
    copy = in_number_type(stack, torch.float32)
    assert number_type(copy) == torch.float32
    assert number_type(stack) == dtype
    assert in_number_type(stack, torch.float32) is copy
    assert in_number_type(copy, torch.float32) is copy
    assert number_type(dinv.physics.Denoising()) is None
