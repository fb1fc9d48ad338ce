"""The paper's tables as data: which cases make up which number, under which protocol, and by which methods.

A *study* is one table, a *cell* one number of it (the mean PSNR over its cases), a *case* one degraded image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import paper_published as published
from protocol import Case, blurred, holed, kodak, levin, levin_kernel, noisy, read, reduced

MakeCase = Callable[[Path], Case]

#: Cheap ones first, so that a short run has something to show.
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
#: Each step of four takes every image once and of eight every kernel once: the first few are a fair sample.
LEVIN = tuple((image, (2 * (image - 1) + step) % 8 + 1) for step in range(8) for image in (1, 2, 3, 4))
#: In steps of seven, which reach every image.
KODAK = tuple(7 * i % 24 + 1 for i in range(24))
HOLES, NOISE = 0.7, 0.1
#: Of the Kodak images in Figure 7, rows and columns.
KODAK_BOX = (100, 324, 100, 324)
#: Measured pixels a side in the study of eq. 8, which needs differences only, so that it takes a quarter of the time.
CENTRE = 128


@dataclass(frozen=True)
class Cell:
    """One number of a table: ``cases`` in the order they are run, ``published`` by the paper's names of methods.

    ``same_images`` says whether the paper's figures are for these cases.
    """

    name: str
    column: str
    published: Mapping[str, float]
    cases: Mapping[str, MakeCase]
    same_images: bool = True


@dataclass(frozen=True)
class Study:
    """One table. ``methods`` are names in :data:`paper_methods.METHODS`."""

    name: str
    title: str
    protocol: str
    methods: tuple[str, ...]
    cells: tuple[Cell, ...]


def _set_image(make: Callable[..., Case], folder: str, name: str, value: float, data: Path) -> Case:
    return make(data / folder / f"{name}.png", value)


def _kodak_crop(make: Callable[..., Case], number: int, value: float, data: Path) -> Case:
    return make(data / "kodak24" / f"kodim{number:02d}.png", value, KODAK_BOX)


def _super_resolution(name: str, title: str, folder: str, images: tuple[str, ...], figures: Mapping) -> Study:
    return Study(
        name,
        title,
        "RGB images cropped to a multiple of the factor, reduced by MATLAB's antialiased bicubic imresize and rounded "
        "to 8 bits; no noise. The result is rounded to 8 bits, as many pixels as the factor are cropped from every "
        "side, and PSNR is taken over all pixels and channels.",
        ("bicubic", "authors", "dae-sigma25", "dae", "dae-best", "pnp-hqs", "pnp-hqs-24"),
        tuple(
            Cell(
                f"{folder} x{factor}",
                f"x{factor}",
                figures[factor],
                {image: partial(_set_image, reduced, folder, image, factor) for image in images},
            )
            for factor in figures
        ),
    )


DEBLURRING = (
    "The blur is a true convolution (the kernel is flipped; not transposed) with 'valid' boundaries. The result is "
    "rounded to 8 bits, half a kernel is cropped from every side, and PSNR is taken over all pixels and channels. "
)


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


LEVIN_PROTOCOL = (
    DEBLURRING
    + "The four 255 x 255 grey images are shown to the network as three equal channels, with one noise field "
    "in all three (seed 0); noise is of 255 and not clipped."
)


def _kodak_case(number: int, data: Path) -> Case:
    return kodak(data, number, 1, 2.55 / 255)


#: Every study, by the sub-command that runs it.
STUDIES = {
    study.name: study
    for study in (
        _super_resolution("table1", "Table 1: super-resolution, Set5", "set5", SET5, published.SET5),
        _super_resolution("table2", "Table 2: super-resolution, Set14", "set14", SET14, published.SET14),
        Study(
            "table3",
            "Table 3: deblurring, Levin et al.'s 4 images x 8 kernels",
            LEVIN_PROTOCOL,
            ("authors", "dae-sigma25", "dae"),
            tuple(_levin_cell(sigma) for sigma in published.LEVIN),
        ),
        Study(
            "figure6",
            "Figure 6: deblurring, Kodak, kernel 1, 1 % noise",
            DEBLURRING
            + "RGB images of 768 x 512 in full, Levin's kernel 1 (19 x 19), independent noise of 2.55 of 255 "
            "in the channels (seed 0), not clipped.",
            ("authors", "dae-sigma25", "dae", "pnp-hqs", "pnp-hqs-24"),
            (
                Cell(
                    "kodak24 k1",
                    "kernel 1",
                    published.KODAK,
                    {f"kodim{number:02d}": partial(_kodak_case, number) for number in KODAK},
                ),
            ),
        ),
        Study(
            "figure7",
            "Figure 7: missing pixels, and noise",
            "The paper shows one image and does not name it; none of Set5, Set14, Kodak24 and the four of Levin has "
            "its PSNR with 70 % of the pixels at zero. So here: Set5, RGB, rounded to 8 bits, nothing cropped. Holes: "
            "70 % of the pixels are missing in all three channels, the others are exact. Noise: standard deviation "
            "25.5 of 255, independent in the channels, clipped to [0, 255]. Seed 0. Compare gains, not levels. "
            "The same on Kodak24, rows and columns 100 to 324.",
            ("measurement", "authors", "dae-sigma25", "dae", "pnp-hqs", "pnp-hqs-24", "pnp-admm"),
            (
                Cell(
                    "set5 holes",
                    "70 % missing",
                    published.HOLES,
                    {name: partial(_set_image, holed, "set5", name, HOLES) for name in SET5},
                    same_images=False,
                ),
                Cell(
                    "set5 noise",
                    "10 % noise",
                    published.NOISE,
                    {name: partial(_set_image, noisy, "set5", name, NOISE) for name in SET5},
                    same_images=False,
                ),
                *(
                    Cell(
                        f"kodak24 {what}",
                        f"{text}, Kodak24",
                        figures,
                        {f"kodim{number:02d}": partial(_kodak_crop, make, number, value) for number in KODAK},
                        same_images=False,
                    )
                    for what, text, figures, make, value in (
                        ("holes", "70 % missing", published.HOLES, holed, HOLES),
                        ("noise", "10 % noise", published.NOISE, noisy, NOISE),
                    )
                ),
            ),
        ),
        Study(
            "stochastic",
            "The stochastic evaluation of the gradient (eq. 8)",
            LEVIN_PROTOCOL + f" Noise 2.55; the images are cut to their central {CENTRE} x {CENTRE} measured pixels. "
            "Without eq. 8 the network is evaluated at the iterate itself. The paper says that eq. 8 is worth "
            f"{published.STOCHASTIC_GAIN} dB.",
            ("authors", "authors-still", "dae-sigma25", "dae-sigma25-still", "dae", "dae-still"),
            (
                Cell(
                    "levin 2.55 centre",
                    "2.55",
                    {},
                    {f"im{image}/k{kernel}": partial(_centre_case, image, kernel) for image, kernel in LEVIN},
                ),
            ),
        ),
    )
}
