"""The gradient as a graph without derivatives, of ``benchmarks/timing/runtime_rows.py``."""

import torch
from timing.runtime_rows import Forward, Gradient

from daep_prior import UNetDAE, energy_gradient


def test_the_graph_without_derivatives_has_the_energys_gradient():
    torch.manual_seed(0)
    dae = UNetDAE(widths=(4, 6, 8), blocks=2).eval().requires_grad_(False).double()
    x, noise, width = torch.rand(1, 3, 16, 24).double(), torch.randn(1, 3, 16, 24).double(), 0.1
    z = torch.cat([x - width * noise, torch.full_like(x[:, :1], width)], 1)
    torch.testing.assert_close(Forward(dae)(z, x), dae(x - width * noise, width))
    torch.testing.assert_close(Gradient(dae)(z, x), energy_gradient(dae, x, width, [noise]))
