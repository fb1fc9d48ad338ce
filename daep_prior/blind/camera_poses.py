r"""A camera that is moved and turned during the exposure: the kernels of an image are sums over its poses.

A pose moves the image by ``(a, b)`` pixels and turns it around its middle by a small angle. A point at ``(p, q)`` from
the middle moves by ``(a + angle q, b - angle p)``. With the time :math:`w_j \ge 0` in pose j, the kernel at each place
is linear in :math:`w`, :math:`k_i = M_i w` (Whyte et al., *Non-uniform deblurring for shaken images*, IJCV 2012).
"""

from __future__ import annotations

import math
import warnings

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_prior.blind.windows import Windows

#: Values of an enlarged distribution below this share of the largest come from the interpolation. Chosen by hand.
ENLARGED_LEAST = 0.02


class CameraPoses:
    """The linear map from the times in all poses, (angles, n, n), to the kernels of the windows.

    One step of the angle moves the middle of the nearer edges by one pixel. There are as many angles as pixels in n.

    :param Windows windows: their places; n is the side of their kernels.
    """

    def __init__(self, windows: Windows):
        side, places = windows.side, windows.places.flatten(0, 1)
        moves = torch.arange(side) - side // 2.0
        turn, down, across = (
            axis.flatten() for axis in torch.meshgrid(moves / (min(windows.shape) / 2), moves, moves, indexing="ij")
        )
        rows = down + turn * places[:, 1:] + side // 2
        columns = across - turn * places[:, :1] + side // 2
        self.side, self.counts = side, windows.counts
        self._map, self._transposed = _bilinear(rows, columns, side)

    def kernels(self, times: Tensor) -> Tensor:
        """Kernels (rows, columns, n, n). Their sum is that of ``times``, less what leaves the support."""
        return (self._map @ times.flatten()).view(*self.counts, self.side, self.side)

    def adjoint(self, kernels: Tensor) -> Tensor:
        """The transposed map, (angles, n, n)."""
        return (self._transposed @ kernels.flatten()).view(self.side, self.side, self.side)


def one_pose(side: int) -> Tensor:
    """A camera that stands still, (side, side, side)."""
    times = torch.zeros(side, side, side)
    times[side // 2, side // 2, side // 2] = 1
    return times


def enlarged_times(times: Tensor, factor: float, side: int) -> Tensor:
    """Times for images that are larger by ``factor``, (side, side, side)."""
    finer = 2 * math.floor(times.shape[0] * factor / 2 + 0.5) + 1
    fine = F.interpolate(times[None, None], size=(finer,) * 3, mode="trilinear", align_corners=False)[0, 0]
    fine = F.pad(fine, ((side - finer) // 2,) * 6)
    return middle_times(torch.where(fine < ENLARGED_LEAST * fine.max(), 0.0, fine))


def middle_times(times: Tensor) -> Tensor:
    """Times with sum 1, moved by whole steps so that the mean pose is in the middle; what leaves is lost."""
    side = times.shape[0]
    places = torch.arange(side) - side // 2.0
    means = [times.sum([other for other in range(3) if other != axis]) for axis in range(3)]
    moves = [-round(float((mean * places).sum() / mean.sum())) for mean in means]
    margin = max(map(abs, moves))
    padded = F.pad(times, (margin,) * 6).roll(moves, (0, 1, 2))
    inside = slice(margin, margin + side)
    moved = padded[inside, inside, inside]
    return moved / moved.sum()


def support(times: Tensor, margin: int) -> Tensor:
    """1 in the smallest box around all poses that are used, and ``margin`` steps around it."""
    used = times.nonzero()
    low, high = (used.amin(0) - margin).clamp_min(0).tolist(), (used.amax(0) + margin + 1).tolist()
    box = torch.zeros_like(times)
    box[low[0] : high[0], low[1] : high[1], low[2] : high[2]] = 1
    return box


def _bilinear(rows: Tensor, columns: Tensor, side: int) -> tuple[Tensor, Tensor]:
    """The sparse matrix that puts pose j at ``rows[i, j], columns[i, j]`` of kernel i; and its transpose."""
    kernel, pose = torch.meshgrid(*map(torch.arange, rows.shape), indexing="ij")
    places, values = [], []
    for right in (0, 1):
        for below in (0, 1):
            row, column = rows.floor() + below, columns.floor() + right
            weight = (1 - (rows - row).abs()) * (1 - (columns - column).abs())
            inside = (row >= 0) & (row < side) & (column >= 0) & (column < side) & (weight > 1e-6)
            pixel = (kernel * side + row.long()) * side + column.long()
            places.append(torch.stack([pixel[inside], pose[inside]]))
            values.append(weight[inside])
    size = (rows.shape[0] * side**2, rows.shape[1])
    matrix = torch.sparse_coo_tensor(torch.cat(places, 1), torch.cat(values), size, check_invariants=False).coalesce()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Sparse CSR tensor support is in beta")
        return matrix.to_sparse_csr(), matrix.t().coalesce().to_sparse_csr()
