"""Rows about other runtimes: ``runtimes``. Our network by ONNX Runtime and by OpenVINO, all in float32.

Both evaluate graphs and offer no derivatives, so the vector-Jacobian product is written out as a part of the graph.
They are no dependency of this project: ``pip install onnx onnxruntime openvino``.
"""

from __future__ import annotations

import argparse
import io
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from daep_prior import UNetDAE, energy_gradient, load_dae
from timing.race import WIDTH, Figure, Row, figure, image, race

SIZES = (256, 512)

Map = Callable[[Tensor], Tensor]


class Forward(nn.Module):
    """``A(z)``, from noisy images ``z`` with a map of the noise level, (1, 4, H, W)."""

    def __init__(self, dae: UNetDAE):
        super().__init__()
        self.body: Any = dae.body

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """Of the shape of ``x``, (1, 3, H, W), which is not used."""
        out: Tensor = z[:, : x.shape[1]] + self.body(z)
        return out


class Gradient(Forward):
    """The gradient of the energy at ``x``, ``-J_r(z)^T (x - A(z))`` with ``A(z) = z + r(z)``."""

    def forward(self, z: Tensor, x: Tensor) -> Tensor:
        """(1, 3, H, W)."""
        value, product = self._scale(0, self.body.head(z))
        residual = x - z[:, : x.shape[1]] - self.body.tail(value)
        return -_transposed(self.body.head, product(_transposed(self.body.tail, residual)))[:, : x.shape[1]]

    def _scale(self, k: int, v: Tensor) -> tuple[Tensor, Map]:
        """The features after scale ``k`` and all coarser ones, and their vector-Jacobian product."""
        if k == len(self.body.down):
            return _blocks(self.body.bottom, v)
        (*fine, down), (up, *rest) = self.body.down[k], self.body.up[k]
        first, first_product = _blocks(fine, v)
        coarse, coarse_product = self._scale(k + 1, down(first))
        last, last_product = _blocks(rest, up(coarse))

        def product(g: Tensor) -> Tensor:
            inside = coarse_product(F.conv2d(last_product(g), up.weight, stride=2))
            return g + first_product(F.conv_transpose2d(inside, down.weight, stride=2))

        return v + last, product


def _blocks(blocks: Iterable[Any], v: Tensor) -> tuple[Tensor, Map]:
    """Residual blocks in turn, and their vector-Jacobian product."""
    passed = []
    for block in blocks:
        first, _, second = block.branch
        h = first(v)
        v = v + second(F.relu(h))
        passed.append((first, second, h > 0))

    def product(g: Tensor) -> Tensor:
        for first, second, on in reversed(passed):
            inside = _transposed(second, g)
            g = g + _transposed(first, torch.where(on, inside, torch.zeros_like(inside)))
        return g

    return v, product


def _transposed(layer: nn.Conv2d, g: Tensor) -> Tensor:
    """The transposed 3 x 3 convolution, as a convolution."""
    return F.conv2d(g, layer.weight.flip(2, 3).transpose(0, 1), padding=1)


def onnx_runtime(graph: bytes) -> Callable[[Tensor, Tensor], Tensor]:
    """The function of a graph by ONNX Runtime on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(graph, options, ["CPUExecutionProvider"])
    names = [argument.name for argument in session.get_inputs()]

    def call(z: Tensor, x: Tensor) -> Tensor:
        given = {"z": z.numpy(), "x": x.numpy()}
        return torch.from_numpy(session.run(None, {name: given[name] for name in names})[0])

    return call


def openvino(graph: bytes) -> Callable[[Tensor, Tensor], Tensor]:
    """The function of a graph by OpenVINO on one thread, in float32."""
    import openvino

    core = openvino.Core()
    model = core.read_model(io.BytesIO(graph))
    options = {"INFERENCE_NUM_THREADS": 1, "INFERENCE_PRECISION_HINT": "f32", "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(model, "CPU", options).create_infer_request()
    names = [port.get_any_name() for port in model.inputs]

    def call(z: Tensor, x: Tensor) -> Tensor:
        given = {"z": z.numpy(), "x": x.numpy()}
        return torch.from_numpy(request.infer({name: given[name] for name in names})[0])

    return call


def runtimes(a: argparse.Namespace) -> Iterator[Row]:
    """Denoising and the gradient by each runtime against PyTorch as this project calls it, in float32."""
    dae = load_dae("dae")
    assert isinstance(dae, UNetDAE)
    dae.compute_dtype = torch.float32

    def measure(
        side: int, part: type[Forward], runtime: Callable[[bytes], Callable[[Tensor, Tensor], Tensor]]
    ) -> Figure:
        x = image(side, a.device)
        noise = torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
        z = torch.cat([x - WIDTH * noise, torch.full_like(x[:, :1], WIDTH)], 1)
        graph = io.BytesIO()
        with torch.no_grad():
            torch.onnx.export(part(dae).eval(), (z, x), graph, dynamo=False, input_names=["z", "x"])
        call = runtime(graph.getvalue())

        def ours() -> Tensor:
            if part is Gradient:
                return energy_gradient(dae, x, WIDTH, [noise])
            with torch.no_grad():
                return dae(x - WIDTH * noise, WIDTH)

        error = float((ours() - call(z, x)).square().mean().sqrt())
        times = race(a.device, a.turns, ours, lambda: call(z, x))
        what = "gradient" if part is Gradient else "denoised image"
        return figure(
            *times, f"s a {what}", f"it against PyTorch, both float32; root mean square difference {error:.0e}"
        )

    for side in SIZES:
        for part in (Forward, Gradient):
            for name, runtime in (("ONNX Runtime", onnx_runtime), ("OpenVINO", openvino)):
                key = f"runtimes | {name}, {part.__name__.lower()}, {side} x {side}"
                yield key, partial(measure, side, part, runtime)
