"""A convolution between the border pixels of an image, on grids as narrow as the border."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from daep_deepinv.data_terms.unmeasured import Border

__all__ = ["BorderStrips"]


class BorderStrips:
    r"""``P C P^T``: ``C`` a circular convolution, ``P`` the values of a :class:`Border`.

    The filter of ``C`` must not be wider than the border: its lags are at most ``top`` rows and ``left`` columns. So is
    the autocorrelation of the kernel of a ``valid`` blur. The border has two arms: the rows above, and the columns left
    of the measured pixels. Each acts on itself over lags less than its width, so a grid of twice the width is enough.
    On each other they act near the corner only.

    :param Border border: of the images, with :meth:`fits`.
    :param torch.Tensor spectrum: the eigenvalues of ``C``, real, (1 or B, 1 or C, H, W // 2 + 1).
    """

    def __init__(self, border: Border, spectrum: Tensor):
        self.border = border
        (height, width), top, left = border.size, border.top, border.left
        #: Of the rows, the columns, and the corner: the grid.
        self.grids = ((2 * top, width), (height, 2 * left), (4 * top, 4 * left))
        response = torch.fft.irfft2(spectrum, s=border.size)
        places = (
            (_lags(top - 1, 2 * top), torch.arange(width)),
            (torch.arange(height), _lags(left - 1, 2 * left)),
            (_lags(top, 4 * top), _lags(left, 4 * left)),
        )
        #: And the Fourier transform of the filter on it.
        self.filters = [torch.fft.rfft2(_sampled(response, *lags)).real for lags in places]

    @staticmethod
    def fits(border: Border) -> bool:
        """Whether there are two arms, and the grids have fewer pixels than the image."""
        (height, width), top, left = border.size, border.top, border.left
        apart = 3 * top <= height and 3 * left <= width
        pixels = 2 * top * width + 2 * left * height + 2 * 16 * top * left
        return top > 0 and left > 0 and apart and pixels < height * width

    def __call__(self, values: Tensor) -> Tensor:
        """``P C P^T`` of border values (B, C, n)."""
        (height, width), top, left = self.border.size, self.border.top, self.border.left
        above, beside = values.split([top * width, (height - top) * left], 2)
        rows, columns = above.unflatten(2, (top, width)), beside.unflatten(2, (height - top, left))
        # the first pixel of the corner's grid is ``top`` rows above and ``left`` columns left of that of the image
        arms = values.new_zeros((2, *values.shape[:2], 3 * top, 3 * left))
        arms[0][..., top : 2 * top, :left] = rows[..., width - left :]
        arms[0][..., top : 2 * top, left:] = rows[..., : 2 * left]
        arms[1][..., :top, left : 2 * left] = columns[..., height - 2 * top :, :]
        arms[1][..., 2 * top :, left : 2 * left] = columns[..., :top, :]
        from_rows, from_columns = self._filtered(2, arms)
        rows = self._filtered(0, rows)[..., :top, :]
        rows[..., width - left :] += from_columns[..., top : 2 * top, :left]
        rows[..., : 2 * left] += from_columns[..., top : 2 * top, left : 3 * left]
        columns = self._filtered(1, F.pad(columns, (0, 0, top, 0)))[..., top:, :left]
        columns[..., height - 2 * top :, :] += from_rows[..., :top, left : 2 * left]
        columns[..., :top, :] += from_rows[..., 2 * top : 3 * top, left : 2 * left]
        return torch.cat([rows.flatten(2), columns.flatten(2)], 2)

    def _filtered(self, number: int, values: Tensor) -> Tensor:
        grid = self.grids[number]
        return torch.fft.irfft2(self.filters[number] * torch.fft.rfft2(values, s=grid), s=grid)


def _lags(largest: int, period: int) -> Tensor:
    """The lags from ``-largest`` to ``largest`` in their places of a periodic grid; elsewhere ``period``."""
    lags = torch.full((period,), period)
    near = torch.arange(-largest, largest + 1)
    lags[near % period] = near
    return lags


def _sampled(response: Tensor, down: Tensor, across: Tensor) -> Tensor:
    """The response (..., H, W) at these lags; 0 where a lag is not less than the number of lags."""
    rows, columns = response.shape[-2:]
    values = response[..., down % rows, :][..., across % columns]
    return values * ((down < len(down))[:, None] & (across < len(across))).to(values)
