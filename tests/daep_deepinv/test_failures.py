"""An operator that fails is replaced or refused; an error about full memory is raised as it is."""

import pytest
import torch
from deepinv.physics import LinearPhysics

from daep_deepinv import DAEP
from daep_deepinv.operators.failures import refusal, unless_it_fails

FULL = (
    torch.OutOfMemoryError("CUDA out of memory"),
    RuntimeError("[enforce fail] DefaultCPUAllocator: not enough memory: you tried to allocate"),
)


def fail(error):
    raise error


def test_what_fails_is_replaced():
    assert unless_it_fails(lambda: fail(IndexError("no such axis")), None) is None
    assert unless_it_fails(lambda: 3, None) == 3


def test_a_refusal_has_the_sentence_and_the_reason():
    with pytest.raises(ValueError, match=r"^y: it does not fit: no such axis$"), refusal("y: it does not fit"):
        fail(IndexError("no such axis"))


@pytest.mark.parametrize("error", FULL)
def test_a_full_memory_is_no_failure_of_the_operator(error):
    with pytest.raises(type(error)) as raised:
        unless_it_fails(lambda: fail(error), None)
    assert raised.value is error
    with pytest.raises(type(error)) as raised, refusal("y: it does not fit"):
        fail(error)
    assert raised.value is error


@pytest.mark.parametrize("error", FULL)
def test_a_full_memory_is_not_blamed_on_the_measurement(error):
    physics = LinearPhysics(A=lambda x, **_: fail(error), A_adjoint=lambda y, **_: fail(error))
    with pytest.raises(type(error)) as raised:
        DAEP(sigma=0.1).plan(torch.rand(1, 3, 16, 16), physics)
    assert raised.value is error
