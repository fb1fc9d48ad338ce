"""What a comparison found: the results of the methods and their table."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass, field

from deepinv.loss.metric import PSNR
from torch import Tensor

__all__ = ["COLUMNS", "Comparison", "Result", "Step"]

#: Columns of the table, in order.
COLUMNS = ("method", "psnr", "ssim", "lpips", "seconds", "evaluations", "jacobian products", "remark")


@dataclass(frozen=True)
class Step:
    """State of a method after one iteration.

    :param int evaluations: network evaluations and Jacobian products so far.
    :param float seconds: since the start, without the time for computing ``psnr``.
    :param float psnr: dB, of the image that the method would return now.
    """

    evaluations: int
    seconds: float
    psnr: float


@dataclass
class Result:
    """The result of one method.

    :param torch.Tensor image: (1, C, H, W) in [0, 1]; ``None`` if the method failed.
    :param float psnr: dB, of the image in 8 bits, over the measured part; likewise ``ssim`` and ``lpips``.
    :param int evaluations: forward passes of the shared network; 0 for methods without a network.
    :param int jacobian_products: vector-Jacobian products of the network; one costs one or two forward passes.
    :param list path: one :class:`Step` an iteration, for DAEP and for deepinv's optimisers.
    :param str remark: why the method failed, or what its result suffers from.
    """

    method: str
    image: Tensor | None = None
    psnr: float | None = None
    ssim: float | None = None
    lpips: float | None = None
    seconds: float | None = None
    evaluations: int = 0
    jacobian_products: int = 0
    path: list[Step] = field(default_factory=list)
    remark: str = ""

    def row(self) -> dict[str, str]:
        """The values of :data:`COLUMNS` as text; empty where there is none."""

        def number(value: float | None, digits: int) -> str:
            return "" if value is None else f"{value:.{digits}f}"

        done = self.image is not None
        values = (
            self.method,
            number(self.psnr, 2),
            number(self.ssim, 4),
            number(self.lpips, 4),
            number(self.seconds, 2),
            str(self.evaluations) if done else "",
            str(self.jacobian_products) if done else "",
            self.remark,
        )
        return dict(zip(COLUMNS, values, strict=True))


@dataclass
class Comparison:
    """All results of one measurement.

    :param torch.Tensor clean: (1, C, H, W) in [0, 1].
    :param torch.Tensor measurement: (1, C, h, w).
    :param torch.Tensor start: starting point of the iterative methods, (1, C, H, W).
    :param tuple margins: pixels (left, right, top, bottom) that are not measured and therefore not judged.
    """

    clean: Tensor
    measurement: Tensor
    start: Tensor
    margins: tuple[int, int, int, int]
    results: list[Result] = field(default_factory=list)

    def judged(self, x: Tensor) -> Tensor:
        """The measured part of an image."""
        left, right, top, bottom = self.margins
        return x[..., top : x.shape[-2] - bottom, left : x.shape[-1] - right]

    def psnr(self, x: Tensor) -> float:
        """PSNR in dB over the measured part."""
        return float(PSNR()(self.judged(x.clamp(0, 1)), self.judged(self.clean)))

    def __str__(self) -> str:
        return self.to_csv()

    def to_csv(self) -> str:
        """The table as text of a CSV file."""
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(result.row() for result in self.results)
        return text.getvalue()
