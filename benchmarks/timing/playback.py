"""Playing back a network's outputs, to measure the time of a solver without the network."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn


class Played(torch.autograd.Function):
    """A network body, recorded or played back: forward and vector-Jacobian product."""

    @staticmethod
    def forward(ctx: Any, z: Tensor, tape: Tape) -> Tensor:
        ctx.tape = tape
        if tape.recorded:
            return tape.next().clone()
        with torch.enable_grad():
            ctx.z = z.detach().requires_grad_()
            ctx.out = tape.body(ctx.z)
        return tape.keep(ctx.out.detach())

    @staticmethod
    def backward(ctx: Any, *grad: Tensor) -> tuple[Tensor, None]:
        if ctx.tape.recorded:
            return ctx.tape.next().clone(), None
        return ctx.tape.keep(torch.autograd.grad(ctx.out, ctx.z, *grad)[0]), None


class Tape(nn.Module):
    """In place of a network's body: records its outputs in one run and returns them without work in the next.

    The solver then takes the same steps, with the same number of inner iterations.
    """

    def __init__(self, body: nn.Module):
        super().__init__()
        self.body, self.outputs, self.at, self.recorded = body, list[Tensor](), 0, False

    def forward(self, z: Tensor) -> Tensor:
        out: Tensor = Played.apply(z, self)
        return out

    def __deepcopy__(self, memo: object) -> Tape:
        """Itself: a network computes with a copy of its body."""
        return self

    def keep(self, t: Tensor) -> Tensor:
        """Record an output."""
        self.outputs.append(t.clone())
        return t

    def next(self) -> Tensor:
        """The next recorded output."""
        self.at += 1
        return self.outputs[self.at - 1]

    def rewind(self) -> None:
        """Play back from the beginning."""
        self.recorded, self.at = True, 0
