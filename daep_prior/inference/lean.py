"""Forward pass and vector-Jacobian product of a frozen network that remembers one bit an activation.

For a chain of convolutions and ReLUs the product with the transposed Jacobian needs the weights and, of every ReLU,
which of its inputs were positive. Autograd keeps the activations themselves, two or four bytes each. Here they are
dropped and their signs kept, packed into bits; results and speed are those of autograd.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daep_prior.inference.heap import working_memory

__all__ = ["Chain", "Residual", "Step", "lean", "steps", "transformed", "translate"]

#: Smaller activations are kept as they are: packing them would take longer than it is worth. Number of elements.
SMALL = 1 << 16
#: On a GPU the bits are slower (1.2 to 2.7 times from 1024 x 1024 to 2048 x 2048 pixels on an H200) and there to save
#: memory: from this number of pixels.
LARGE = 1 << 22
INTEGERS = {2: torch.int16, 4: torch.int32, 8: torch.int64}


# -- bits ------------------------------------------------------------------------------------------------------------


def pack_signs(y: Tensor) -> Tensor:
    """Which elements of ``y`` (B, C, H, W), the output of a ReLU, are positive: one bit each.

    Bit ``i`` of the result belongs to the ``i``-th of as many equal pieces of ``y`` as a number has bits, so that all
    work is done by vector instructions on whole pieces that stay in the processor's cache.
    """
    numbers = _as_integers(y)
    bits = 8 * y.element_size()
    pieces = numbers.split(-(-numbers.numel() // bits))
    packed, ones = torch.zeros_like(pieces[0]), torch.empty_like(pieces[0])
    magnitude = torch.iinfo(numbers.dtype).max  # without the sign: -0.0 is zero, and NaN, as a divergence, is not
    for i, piece in enumerate(pieces):
        one = ones[: piece.numel()]
        torch.bitwise_and(piece, magnitude, out=one).clamp_(max=1)
        packed[: piece.numel()].add_(one, alpha=1 << i if i < bits - 1 else -1 << i)
    return packed


def keep_signed(g: Tensor, packed: Tensor) -> Tensor:
    """Set ``g`` to zero, in place, where :func:`pack_signs` saw nothing positive."""
    bits = 8 * g.element_size()
    mask = torch.empty_like(packed)
    for i, piece in enumerate(_as_integers(g).split(packed.numel())):
        torch.bitwise_left_shift(packed, bits - 1 - i, out=mask)
        mask.bitwise_right_shift_(bits - 1)  # all ones or all zeros
        piece.bitwise_and_(mask[: piece.numel()])
    return g


def _as_integers(y: Tensor) -> Tensor:
    """The memory of a channels-last tensor as integers of the same size, in a row."""
    return y.permute(0, 2, 3, 1).view(-1).view(INTEGERS[y.element_size()])


# -- the network as steps ----------------------------------------------------------------------------------------------


class Step(Protocol):
    """A piece of the network.

    Neither method writes to what it is given, but for the gradient that a ReLU receives from the layer after it.
    """

    def forward(self, x: Tensor, tape: list[Tensor]) -> Tensor:
        """Output; what :meth:`backward` needs is put on the tape."""

    def backward(self, g: Tensor, tape: list[Tensor]) -> Tensor:
        """Transposed Jacobian times ``g``; what :meth:`forward` put on the tape is taken off."""


class Convolution:
    """A convolution or transposed convolution, and the ReLU after it, if any."""

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d, relu: bool):
        self.weight, self.bias, self.relu = layer.weight, layer.bias, relu
        self.stride, self.padding = layer.stride, layer.padding
        self.map: Any = F.conv2d
        self.transposed: Any = F.conv_transpose2d
        if isinstance(layer, nn.ConvTranspose2d):
            self.map, self.transposed = self.transposed, self.map

    def forward(self, x: Tensor, tape: list[Tensor]) -> Tensor:
        y: Tensor = self.map(x, self.weight, self.bias, self.stride, self.padding)
        if self.relu:
            y = y.relu_().contiguous(memory_format=torch.channels_last)
            tape.append(y if y.numel() < SMALL else pack_signs(y))
        return y

    def backward(self, g: Tensor, tape: list[Tensor]) -> Tensor:
        if self.relu:
            signs = tape.pop()
            if signs.dtype == g.dtype:
                g = torch.ops.aten.threshold_backward(g, signs, 0)
            else:
                g = keep_signed(g.contiguous(memory_format=torch.channels_last), signs)
        out: Tensor = self.transposed(g, self.weight, None, self.stride, self.padding)
        return out


class Chain:
    """Steps one after another."""

    def __init__(self, steps: Sequence[Step]):
        if not steps or (isinstance(steps[-1], Convolution) and steps[-1].relu):
            raise NotImplementedError("a chain that is empty or ends in a ReLU")  # would write to what is not its own
        self.steps = steps

    def forward(self, x: Tensor, tape: list[Tensor]) -> Tensor:
        for step in self.steps:
            x = step.forward(x, tape)
        return x

    def backward(self, g: Tensor, tape: list[Tensor]) -> Tensor:
        for step in reversed(self.steps):
            g = step.backward(g, tape)
        return g


class Residual(Chain):
    """``x + chain(x)``."""

    def forward(self, x: Tensor, tape: list[Tensor]) -> Tensor:
        return super().forward(x, tape).add_(x)

    def backward(self, g: Tensor, tape: list[Tensor]) -> Tensor:
        return super().backward(g, tape).add_(g)


def steps(modules: Iterable[nn.Module]) -> list[Step]:
    """Modules that are applied one after another, as steps.

    :raises NotImplementedError: one of them is not linear, a ReLU after a convolution, or a module with a method
        ``lean_step()`` that returns a :class:`Step`.
    """
    found: list[Step] = []
    for module in modules:
        if isinstance(module, nn.ReLU) and found and isinstance(found[-1], Convolution):
            found[-1].relu = True
        elif type(module) in (nn.Conv2d, nn.ConvTranspose2d):
            found.append(_convolution(module))  # type: ignore[arg-type]
        elif isinstance(module, nn.Sequential):
            found.append(Chain(steps(module)))
        elif hasattr(module, "lean_step"):
            found.append(module.lean_step())  # type: ignore[operator]
        else:
            raise NotImplementedError(type(module).__name__)
    return found


def _convolution(layer: nn.Conv2d | nn.ConvTranspose2d) -> Convolution:
    keeps_size = layer.stride == (1, 1)
    tiles = layer.stride == layer.kernel_size and layer.padding == (0, 0)
    plain = layer.dilation == (1, 1) and layer.groups == 1 and layer.padding_mode == "zeros"
    if not plain or not (keeps_size or tiles) or any(layer.output_padding) or isinstance(layer.padding, str):
        raise NotImplementedError(str(layer))  # its transpose needs more than the weights
    return Convolution(layer, relu=False)


def translate(body: nn.Module) -> Chain | None:
    """``body`` as steps; ``None`` if it holds anything that has no lean form."""
    try:
        return Chain(steps([body]))
    except NotImplementedError:
        return None


# -- for autograd ------------------------------------------------------------------------------------------------------


class _Lean(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor, chain: Chain, body: nn.Module) -> Tensor:
        tape: list[Tensor] = []
        out = chain.forward(z, tape)
        ctx.save_for_backward(z, *tape)
        ctx.chain, ctx.body = chain, body
        return out

    @staticmethod
    def backward(ctx: Any, g: Tensor) -> tuple[Tensor | None, None, None]:
        z, *tape = ctx.saved_tensors
        if torch.is_grad_enabled():  # create_graph: the product is to be differentiated again, which autograd can do
            (gradient,) = torch.autograd.grad(ctx.body(z), z, g, create_graph=True)
            return gradient, None, None
        with working_memory():
            return ctx.chain.backward(g.contiguous(memory_format=torch.channels_last), tape), None, None


def lean(z: Tensor, chain: Chain, body: nn.Module) -> Tensor:
    """``body(z)``, whose graph for first derivatives by ``z`` holds bits; second derivatives compute ``body`` again.

    :param torch.Tensor z: input (B, C, H, W), of the weights' type; height and width multiples of every stride.
    :param Chain chain: ``translate(body)``.
    :param torch.nn.Module body: the network, its parameters frozen.
    """
    if transformed(z):
        plain: Tensor = body(z)
        return plain
    worthwhile = z.device.type == "cpu" or z.numel() >= LARGE * z.shape[1]
    with working_memory():
        out: Tensor = (
            _Lean.apply(z, chain, body) if worthwhile and torch.is_grad_enabled() and z.requires_grad else body(z)
        )
    return out


def transformed(z: Tensor) -> bool:
    """Whether forward-mode differentiation, ``torch.func`` or a compiler looks at the computation."""
    dual = torch.autograd.forward_ad.unpack_dual(z).tangent is not None
    return dual or torch._C._are_functorch_transforms_active() or torch.compiler.is_compiling()
