"""PSNR and seconds of twenty restorations, to compare two versions of this project.

Deblurring under every kind of noise of ``comparison.py``, super-resolution, missing pixels, denoising, grey images and
a batch; 128-pixel crops of photographs that come with scikit-image. Writes a CSV file; given the file of another
version, prints both columns and the largest difference.

    python benchmarks/regression.py -o after.csv --before before.csv
"""

from __future__ import annotations

import argparse
import csv
import time
from pathlib import Path

import skimage.data
import torch
import torch.nn.functional as F
from deepinv.loss.metric import PSNR
from deepinv.physics import Inpainting
from protocol import as_jpeg, as_tensor

from daep_deepinv import DAEP, degradation

SIZE = 128
#: Upper left corners of the crops: a textured part of each photograph.
CROPS = {"astronaut": (20, 150), "coffee": (100, 200), "chelsea": (60, 120)}


def photograph(name: str) -> torch.Tensor:
    """A crop, (1, 3, SIZE, SIZE) in [0, 1]."""
    top, left = CROPS[name]
    pixels = getattr(skimage.data, name)()[top : top + SIZE, left : left + SIZE]
    return as_tensor(pixels)


def motion_kernel(angle: float = 30.0) -> torch.Tensor:
    """A blur of 13 pixels along a slightly bent line."""
    t = torch.linspace(-6, 6, 400)
    radians = torch.deg2rad(torch.tensor(angle))
    bend = 0.04 * t**2
    x = t * radians.cos() - bend * radians.sin()
    y = t * radians.sin() + bend * radians.cos()
    axis = torch.arange(-8.0, 9.0)
    spots = torch.exp(-((axis[:, None, None] + y) ** 2 + (axis[None, :, None] - x) ** 2) / 0.5).sum(-1)
    return spots / spots.sum()


def white(shape: torch.Size, level: float) -> torch.Tensor:
    """Noise of a level of 255, from a fixed seed."""
    return level / 255 * torch.randn(shape, generator=torch.Generator().manual_seed(0))


def averaged(noise: torch.Tensor, level: float) -> torch.Tensor:
    """Noise averaged over 3 x 3 pixels, scaled to the level (of 255)."""
    smooth = F.avg_pool2d(F.pad(noise, (1, 1, 1, 1), mode="circular"), 3, 1)
    return smooth * (level / 255 / smooth.std())


def deblurring(name, true, assumed, kind="white", preset=None, angle=30.0, grey=None, sigma="given"):
    """One case of deblurring; noise levels are of 255."""
    x = photograph(name)
    if grey == "one channel":
        x = x.mean(1, keepdim=True)
    elif grey == "three channels":
        x = x.mean(1, keepdim=True).repeat(1, 3, 1, 1)
    clean = degradation(motion_kernel(angle), sigma=0.0).A(x)
    noise = white(clean.shape, true)
    if kind == "shared" or grey == "three channels":
        noise = noise[:, :1].expand_as(noise)
    elif kind == "averaged":
        noise = averaged(noise, true)
    y = as_jpeg(clean + noise, 90) if kind == "JPEG" else clean + noise
    physics = degradation(motion_kernel(), sigma=assumed / 255)
    return x, y, physics, DAEP(assumed / 255 if sigma == "given" else sigma, preset=preset)


def super_resolution(name, factor):
    x = photograph(name)
    x = x[..., : SIZE // factor * factor, : SIZE // factor * factor]
    physics = degradation(factor=factor, img_size=tuple(x.shape[1:]))
    return x, (255 * physics.A(x)).round() / 255, physics, DAEP(0)


def missing_pixels(name, share, noise):
    x = photograph(name)
    mask = (torch.rand(1, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(0)) > share).float()
    physics = Inpainting(img_size=tuple(x.shape[1:]), mask=mask)
    return x, physics.A(x + white(x.shape, noise)), physics, DAEP(noise / 255)


def denoising(name, noise):
    x = photograph(name)
    return x, x + white(x.shape, noise), degradation(sigma=noise / 255), DAEP(noise / 255)


def batch():
    """Three images, one of them grey in three channels: each as it is alone."""
    x = torch.cat([photograph("astronaut"), photograph("coffee").mean(1, keepdim=True).repeat(1, 3, 1, 1)])
    clean = degradation(motion_kernel(), sigma=0.0).A(x)
    noise = white(clean.shape, 2.55)
    noise[1] = noise[1, :1]
    return x, clean + noise, degradation(motion_kernel(), sigma=2.55 / 255), DAEP(2.55 / 255)


CASES = {
    "deblurring 2.55": lambda: deblurring("astronaut", 2.55, 2.55),
    "deblurring 7.65": lambda: deblurring("coffee", 7.65, 7.65),
    "deblurring 12.75": lambda: deblurring("chelsea", 12.75, 12.75),
    "deblurring 5.1, assumed 2.55": lambda: deblurring("coffee", 5.1, 2.55),
    "deblurring 2.55, assumed 5.1": lambda: deblurring("chelsea", 2.55, 5.1),
    "deblurring, shared noise": lambda: deblurring("astronaut", 2.55, 2.55, "shared"),
    "deblurring, averaged noise": lambda: deblurring("coffee", 2.55, 2.55, "averaged"),
    "deblurring, JPEG 90": lambda: deblurring("chelsea", 2.55, 2.55, "JPEG"),
    "deblurring, kernel turned": lambda: deblurring("astronaut", 2.55, 2.55, angle=32.0),
    "deblurring, fast": lambda: deblurring("coffee", 2.55, 2.55, preset="fast"),
    "deblurring, estimated": lambda: deblurring("chelsea", 7.65, 7.65, sigma="estimate"),
    "deblurring, grey": lambda: deblurring("astronaut", 2.55, 2.55, grey="one channel"),
    "deblurring, grey in colour": lambda: deblurring("coffee", 2.55, 2.55, grey="three channels"),
    "super-resolution x2": lambda: super_resolution("chelsea", 2),
    "super-resolution x3": lambda: super_resolution("astronaut", 3),
    "missing pixels 70 %": lambda: missing_pixels("coffee", 0.7, 0.0),
    "missing pixels 50 %, noise": lambda: missing_pixels("chelsea", 0.5, 12.75),
    "denoising 10": lambda: denoising("astronaut", 10.0),
    "denoising 25": lambda: denoising("coffee", 25.0),
    "batch": batch,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, required=True, help="CSV file to write")
    parser.add_argument("--before", type=Path, help="CSV file of another version, to compare with")
    arguments = parser.parse_args()
    rows = {}
    for name, case in CASES.items():
        x, y, physics, model = case()
        began = time.perf_counter()
        restored = model(y, physics)
        seconds = time.perf_counter() - began
        rows[name] = (float(PSNR()(restored, x).mean()), seconds)
        print(f"{name:32} {rows[name][0]:6.3f} dB {seconds:6.2f} s", flush=True)
    with arguments.output.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("case", "psnr", "seconds"))
        writer.writerows((name, f"{psnr:.4f}", f"{seconds:.2f}") for name, (psnr, seconds) in rows.items())
    if arguments.before:
        with arguments.before.open() as file:
            before = {row["case"]: (float(row["psnr"]), float(row["seconds"])) for row in csv.DictReader(file)}
        for name, (psnr, seconds) in rows.items():
            old, old_seconds = before[name]
            print(f"{name:32} {old:6.3f} -> {psnr:6.3f} dB, {old_seconds:6.2f} -> {seconds:6.2f} s")
        print(f"largest difference: {max(abs(p - before[n][0]) for n, (p, _) in rows.items()):.4f} dB")
        print(f"seconds in all: {sum(s for _, s in before.values()):.1f} -> {sum(s for _, s in rows.values()):.1f}")


if __name__ == "__main__":
    main()
