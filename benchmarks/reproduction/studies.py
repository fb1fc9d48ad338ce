"""The paper's tables as data: cases, protocol and methods.

A *study* is one table, a *cell* one number of it (the mean PSNR over its cases), a *case* one degraded image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from protocol import Case, blurred, kodak, levin, levin_kernel, masked, noisy, read, reduced

from reproduction import published

MakeCase = Callable[[Path], Case]

#: Small images first, so that a short run has results.
SET5 = ("butterfly", "bird", "woman", "head", "baby")
SET14 = (
    "face",
    "comic",
    "flowers",
    "coastguard",
    "foreman",
    "zebra",
    "baboon",
    "lenna",
    "man",
    "pepper",
    "bridge",
    "monarch",
    "ppt3",
    "barbara",
)
#: (image, kernel). Each four have every image once, each eight every kernel once: the first few are a fair sample.
LEVIN = tuple((image, (2 * (image - 1) + step) % 8 + 1) for step in range(8) for image in (1, 2, 3, 4))
#: In steps of seven, which reach every image.
KODAK = tuple(7 * i % 24 + 1 for i in range(24))
#: Figure 7: share of missing pixels, and noise level for images in [0, 1].
MISSING, NOISE = 0.7, 0.1
#: Rows and columns of the Kodak images in Figure 7.
KODAK_BOX = (100, 324, 100, 324)
#: Measured pixels a side in the study of eq. 8. It needs differences only; small images take a quarter of the time.
CENTRE = 128
#: Protocols, as printed above the tables.
SUPER_RESOLUTION = (
    "Measurement: RGB images, cropped to a multiple of the factor, reduced by MATLAB's antialiased bicubic imresize, "
    "rounded to 8 bits. No noise. PSNR: over all pixels and channels of the result in 8 bits, without a border as wide "
    "as the factor."
)
PSNR = (
    " PSNR: over all pixels and channels of the result in 8 bits, without the border of half a kernel that the "
    "measurement does not show."
)
LEVIN_IMAGES = (
    "Measurement: four grey images of 255 x 255 pixels, convolved with a kernel, 'valid' boundaries. Gaussian noise of "
    "the level in the head of the table (white is 255), not clipped, seed 0. The network sees three equal channels "
    "with the same noise."
)
LEVIN_DEBLURRING = LEVIN_IMAGES + PSNR
KODAK_DEBLURRING = (
    "Measurement: RGB images of 768 x 512 pixels, convolved with Levin's kernel 1 (19 x 19 pixels), 'valid' "
    "boundaries. Noise of 2.55 of 255, independent in the channels, not clipped, seed 0."
) + PSNR
FIGURE7 = (
    "The paper shows one image and does not name it. No image of Set5, Set14, Kodak24 and Levin has its PSNR with 70 % "
    "of the pixels at zero. So compare gains, not levels. Images here: Set5, and rows and columns 100 to 324 of "
    "Kodak24. Missing pixels: 70 %, the same in all three channels; the others are exact. Noise: standard deviation "
    "25.5 of 255, independent in the channels, clipped to [0, 255]. Seed 0. PSNR: over all pixels and channels of the "
    "result in 8 bits."
)
EQUATION8 = (
    f"{LEVIN_IMAGES} The images are cropped to their central {CENTRE} x {CENTRE} measured pixels. Without eq. 8 the "
    f"network sees the iterate without noise. The paper reports a gain of {published.STOCHASTIC_GAIN} dB by eq. 8."
    f"{PSNR}"
)


@dataclass(frozen=True)
class Cell:
    """One number of a table.

    :param dict published: method of the paper -> PSNR in the paper.
    :param dict cases: name -> case, in the order in which they are run.
    :param bool same_images: whether the paper's numbers are for these cases.
    """

    name: str
    column: str
    published: Mapping[str, float]
    cases: Mapping[str, MakeCase]
    same_images: bool = True


@dataclass(frozen=True)
class Study:
    """One table. ``methods`` are names in :data:`reproduction.methods.METHODS`."""

    name: str
    title: str
    protocol: str
    methods: tuple[str, ...]
    cells: tuple[Cell, ...]


def _set_image(make: Callable[..., Case], folder: str, name: str, value: float, data: Path) -> Case:
    return make(data / folder / f"{name}.png", value)


def _kodak_crop(make: Callable[..., Case], number: int, value: float, data: Path) -> Case:
    return make(data / "kodak24" / f"kodim{number:02d}.png", value, KODAK_BOX)


def _levin_cell(sigma: float) -> Cell:
    def make(image: int, kernel: int, data: Path) -> Case:
        return levin(data, image, kernel, sigma / 255)

    cases = {f"im{image}/k{kernel}": partial(make, image, kernel) for image, kernel in LEVIN}
    return Cell(f"levin {sigma}", f"{sigma}", published.LEVIN[sigma], cases)


def _centre_case(image: int, kernel: int, data: Path) -> Case:
    """A case of Table 3 cut to the central 128 x 128 measured pixels."""
    psf = levin_kernel(data, kernel)
    clean = read(data / "levin" / f"im{image}.png")
    top, left = ((clean.shape[-2 + i] - CENTRE - psf.shape[i] + 1) // 2 for i in (0, 1))
    clean = clean[..., top : top + CENTRE + psf.shape[0] - 1, left : left + CENTRE + psf.shape[1] - 1]
    return blurred(f"im{image}/k{kernel}", clean, psf, 2.55 / 255, one_field=True)


def _kodak_case(number: int, data: Path) -> Case:
    return kodak(data, number, 1, 2.55 / 255)


def _super_resolution(name: str, title: str, folder: str, images: tuple[str, ...], reported: Mapping) -> Study:
    cells = (
        Cell(
            f"{folder} x{factor}",
            f"x{factor}",
            reported[factor],
            {image: partial(_set_image, reduced, folder, image, factor) for image in images},
        )
        for factor in reported
    )
    methods = ("bicubic", "authors", "dae-sigma25", "dae", "dae-best", "pnp-hqs", "pnp-hqs-24")
    return Study(name, title, SUPER_RESOLUTION, methods, tuple(cells))


def _table3() -> Study:
    title = "Table 3: deblurring, Levin et al.'s 4 images x 8 kernels"
    cells = tuple(_levin_cell(sigma) for sigma in published.LEVIN)
    return Study("table3", title, LEVIN_DEBLURRING, ("authors", "dae-sigma25", "dae"), cells)


def _figure6() -> Study:
    cases = {f"kodim{number:02d}": partial(_kodak_case, number) for number in KODAK}
    title, methods = "Figure 6: deblurring, Kodak, kernel 1, 1 % noise", ("authors", "dae-sigma25", "dae")
    cell = Cell("kodak24 k1", "kernel 1", published.KODAK, cases)
    return Study("figure6", title, KODAK_DEBLURRING, (*methods, "pnp-hqs", "pnp-hqs-24"), (cell,))


def _figure7() -> Study:
    tasks = (
        ("inpainting", "70 % missing", published.INPAINTING, masked, MISSING),
        ("denoising", "10 % noise", published.DENOISING, noisy, NOISE),
    )
    cells = [
        Cell(
            f"set5 {task}",
            column,
            reported,
            {name: partial(_set_image, make, "set5", name, value) for name in SET5},
            same_images=False,
        )
        for task, column, reported, make, value in tasks
    ]
    cells += [
        Cell(
            f"kodak24 {task}",
            f"{column}, Kodak24",
            reported,
            {f"kodim{number:02d}": partial(_kodak_crop, make, number, value) for number in KODAK},
            same_images=False,
        )
        for task, column, reported, make, value in tasks
    ]
    methods = ("measurement", "authors", "dae-sigma25", "dae", "pnp-hqs", "pnp-hqs-24", "pnp-admm")
    return Study("figure7", "Figure 7: missing pixels, and noise", FIGURE7, methods, tuple(cells))


def _stochastic() -> Study:
    title = "The stochastic evaluation of the gradient (eq. 8)"
    cases = {f"im{image}/k{kernel}": partial(_centre_case, image, kernel) for image, kernel in LEVIN}
    methods = ("authors", "authors-still", "dae-sigma25", "dae-sigma25-still", "dae", "dae-still")
    return Study("stochastic", title, EQUATION8, methods, (Cell("levin 2.55 centre", "2.55", {}, cases),))


#: Every study, by its sub-command.
STUDIES = {
    study.name: study
    for study in (
        _super_resolution("table1", "Table 1: super-resolution, Set5", "set5", SET5, published.SET5),
        _super_resolution("table2", "Table 2: super-resolution, Set14", "set14", SET14, published.SET14),
        _table3(),
        _figure6(),
        _figure7(),
        _stochastic(),
    )
}
