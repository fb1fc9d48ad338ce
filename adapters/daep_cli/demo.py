"""``daep demo``: blur a photograph, restore it, and show both with their PSNR in one picture."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from deepinv.loss.metric import PSNR
from deepinv.physics import Blur, GaussianNoise
from deepinv.physics.generator import MotionBlurGenerator
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from daep_cli.devices import pick_device
from daep_cli.images import SUFFIXES, Array, Photo, read_photo, write_photo
from daep_cli.networks import read_network
from daep_cli.outputs import check_output_file
from daep_cli.tensors import centre, to_pixels, to_tensor
from daep_cli.watch import iterations as in_words
from daep_deepinv import DAEP

__all__ = ["PHOTOGRAPHS", "motion_kernel", "photograph_crop", "run_demo", "side_by_side"]

#: Photographs inside scikit-image's wheel, and the pixel (x, y) that the crop is centred on: where something is to see.
PHOTOGRAPHS = {"astronaut": (224, 128), "chelsea": (230, 130), "coffee": (300, 200)}
#: Noise of the example: one per cent, as in the paper's experiments.
NOISE = 2.55 / 255
KERNEL_SIZE = 25
#: A shake of the hand with two turns, about 13 pixels long.
KERNEL_SEED = 2
SMALLEST = 16


def run_demo(
    output: Path,
    photograph: str = "astronaut",
    size: int = 256,
    denoiser: str | None = None,
    preset: str | None = None,
    iterations: int | None = None,
    seed: int = 0,
    device_name: str | None = None,
    overwrite: bool = False,
) -> Iterator[str]:
    """Run the demonstration and write its picture.

    :param int size: height and width of the images, pixels.
    :return: lines of text, as the work proceeds.
    :raises ValueError: unusable output, size, preset, device or weights.
    """
    check_output_file(output, SUFFIXES, (), overwrite)
    device = pick_device(device_name)
    scene = photograph_crop(photograph, size).to(device)
    kernel = motion_kernel().to(device)
    network = None if denoiser is None else read_network(denoiser, device)
    model = DAEP(NOISE, preset, network, iterations, seed=seed, device=device)
    noise = GaussianNoise(NOISE, rng=torch.Generator(device).manual_seed(seed))
    physics = Blur(filter=kernel, padding="valid", noise_model=noise, device=device)
    blurred = physics(scene)
    yield f"blurred {photograph}, {size} x {size} pixels, added noise of {255 * NOISE:g}; restoring ..."

    began = time.perf_counter()
    restored = centre(model(blurred, physics), blurred).clamp(0, 1)
    seconds = time.perf_counter() - began

    original, psnr = centre(scene, blurred), PSNR()
    before, after = (float(psnr(x.clamp(0, 1), original)) for x in (blurred, restored))
    yield f"PSNR {before:.2f} dB -> {after:.2f} dB in {seconds:.1f} s ({in_words(model.max_iter)}, {model.preset})"
    picture = side_by_side(
        [
            ("original", "", to_pixels(original)),
            (
                "motion blur and noise",
                f"PSNR {before:.2f} dB",
                _with_inset(to_pixels(blurred), kernel[0, 0].cpu().numpy()),
            ),
            ("restored by DAEP", f"PSNR {after:.2f} dB", to_pixels(restored)),
        ]
    )
    write_photo(Photo(np.asarray(picture)), output, overwrite)
    yield f"wrote {output}"


def motion_kernel() -> Tensor:
    """The kernel of the example, (1, 1, 25, 25), sum 1: deepinv's random camera shake from a fixed seed."""
    kernel: Tensor = MotionBlurGenerator((KERNEL_SIZE, KERNEL_SIZE)).step(seed=KERNEL_SEED)["filter"]
    return kernel / kernel.sum()


def photograph_crop(name: str, size: int) -> Tensor:
    """A crop of a photograph, larger than ``size`` by what a valid convolution takes away; (1, 3, H, W) in [0, 1]."""
    try:
        import skimage
    except ImportError as error:
        raise ValueError("the demo takes its photograph from scikit-image; pip install scikit-image.") from error
    # the file itself, not skimage.data: that module may download what it does not find
    photo = read_photo(Path(skimage.__file__).parent / "data" / f"{name}.png")
    whole = size + KERNEL_SIZE - 1
    largest = min(photo.size) - KERNEL_SIZE + 1
    if not SMALLEST <= size <= largest:
        raise ValueError(f"--size {size}: expected {SMALLEST} to {largest} for this photograph.")
    left, top = (
        min(max(0, middle - whole // 2), side - whole)
        for middle, side in zip(PHOTOGRAPHS[name], photo.size, strict=True)
    )
    return to_tensor(Photo(photo.colour[top : top + whole, left : left + whole]))


def _with_inset(image: Array, kernel: Array) -> Array:
    """``image`` with the kernel, magnified, in its upper left corner."""
    magnify = image.shape[0] // (3 * kernel.shape[0])
    if magnify < 1:
        return image
    # the square root shows the faint parts of the path too
    inset = np.kron(np.sqrt(kernel / kernel.max()), np.ones((magnify, magnify)))
    framed = np.pad((255 * inset).round().astype(np.uint8), 1, constant_values=160)
    out = image.copy()
    out[: framed.shape[0], : framed.shape[1]] = framed[..., None]
    return out


def side_by_side(panels: list[tuple[str, str, Array]]) -> Image.Image:
    """One picture of labelled panels.

    :param panels: (title, figure, pixels (H, W, 3) uint8); all of one height. Title and figure stand beneath.
    """
    margin, gap = 12, 4
    height = panels[0][2].shape[0]
    title_font, figure_font = (ImageFont.load_default(points) for points in (17, 15))
    ruler = ImageDraw.Draw(Image.new("L", (1, 1)))

    def box(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> tuple[int, int]:
        _, _, right, bottom = ruler.textbbox((0, 0), text, font=font)
        return int(right) + 1, int(bottom) + 1

    # as wide as the words if they are wider than the image, so that no text is ever cut
    widths = [max(p.shape[1], box(title, title_font)[0], box(figure, figure_font)[0]) for title, figure, p in panels]
    title_height, figure_height = box("dB,gp", title_font)[1], box("dB,gp", figure_font)[1]
    total = sum(widths) + margin * (len(panels) + 1)
    picture = Image.new("RGB", (total, height + title_height + figure_height + 2 * margin + 2 * gap), "white")
    draw = ImageDraw.Draw(picture)
    left = margin
    for width, (title, figure, pixels) in zip(widths, panels, strict=True):
        picture.paste(Image.fromarray(pixels), (left + (width - pixels.shape[1]) // 2, margin))
        middle, top = left + width / 2, margin + height + gap
        draw.text((middle, top), title, font=title_font, fill="black", anchor="ma")
        draw.text((middle, top + title_height + gap), figure, font=figure_font, fill=(90, 90, 90), anchor="ma")
        left += width + margin
    return picture
