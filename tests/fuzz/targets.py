"""The readers that are fuzzed: for each the good files that damage starts from, and what a good result is."""

from __future__ import annotations

import io
import struct
import tempfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import imagecodecs
import mutate
import numpy as np
import tifffile
import torch
from PIL import Image, ImageCms

from daep_cli.kernels.reading import read_kernel
from daep_cli.masks import read_mask
from daep_cli.photographs.photo import MAX_PIXELS, Photo
from daep_cli.photographs.reading import read_photo
from daep_cli.photographs.writing import encode
from daep_prior import ConvDAE, UNetDAE, load_dae, save_dae
from daep_prior.pretrained.caffemodel import _net_parameter
from daep_prior.training import TrainingConfig
from daep_prior.training.checkpoint import load_checkpoint, save_checkpoint
from daep_prior.training.run import TrainingRun

__all__ = ["TARGETS", "Target"]


@dataclass(frozen=True)
class Target:
    """A reader under attack.

    :param seeds: name of a file -> good content, each accepted by ``read``.
    :param read: reads a path; returns something, or raises ``ValueError`` or ``OSError``.
    :param good: whether what was read is usable.
    :param repair: makes the outermost check of the format pass again; applied to half of the damaged files.
    :param wrap: applied to every file after the damage.
    :param talks: a library below prints remarks of its own, which cannot be stopped without touching the process's
        standard error.
    """

    seeds: dict[str, bytes]
    read: Callable[[Path], Any]
    good: Callable[[Any], bool]
    repair: Callable[[bytes], bytes] | None = None
    wrap: Callable[[bytes], bytes] | None = None
    talks: bool = False


# -- weights -----------------------------------------------------------------------------------------------------------


def _safetensors() -> dict[str, bytes]:
    networks = {
        "conv": ConvDAE(depth=3, width=4),
        "conv folded": ConvDAE(depth=3, width=4).fold(),
        "unet": UNetDAE(widths=(4, 8), blocks=1),
        "half": UNetDAE(widths=(4,), blocks=1),
    }
    with tempfile.TemporaryDirectory() as folder:
        for name, network in networks.items():
            save_dae(network, Path(folder, f"{name}.safetensors"), {"steps": 1}, half=name == "half")
        return {path.name: path.read_bytes() for path in sorted(Path(folder).iterdir())}


def _finite(dae: Any) -> bool:
    return all(bool(p.isfinite().all()) for p in dae.parameters()) and not dae.training


def _caffemodels(depth: int = 3, width: int = 4) -> dict[str, bytes]:
    rng, files = np.random.default_rng(0), {}
    for legacy in (False, True):
        net = _net_parameter()()

        def add(name: str, *arrays: np.ndarray, net: Any = net, legacy: bool = legacy) -> None:
            layer = net.layer.add(name=name.encode())
            for array in arrays:
                blob = layer.blobs.add(data=array.ravel().tolist())
                if legacy:
                    blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
                else:
                    blob.shape.dim.extend(array.shape)

        for i in range(1, depth + 1):
            shape = (3 if i == depth else width, 3 if i == 1 else width, 3, 3)
            add(f"conv{i}", rng.normal(size=shape), rng.normal(size=shape[0]))
            if 1 < i < depth:
                add(f"bn{i}", rng.normal(size=width), rng.uniform(1, 2, width), np.ones(1))
        noise = net.layer.add(name=b"noise").dummy_data_param.data_filler.add(type=b"gaussian", std=25)
        assert noise.std == 25
        files["legacy.caffemodel" if legacy else "net.caffemodel"] = net.SerializeToString()
    return files


TINY_RUN = TrainingConfig(network=ConvDAE(depth=3, width=2).config(), steps=2)


def _checkpoints() -> dict[str, bytes]:
    run = TrainingRun(TINY_RUN, torch.device("cpu"))
    run.network(torch.rand(1, 3, 8, 8)).sum().backward()
    for optimizer in run.optimizers:
        optimizer.step()
    with tempfile.TemporaryDirectory() as folder:
        save_checkpoint(run, Path(folder, "a.safetensors"))
        return {"run.checkpoint.safetensors": Path(folder, "a.safetensors").read_bytes()}


def _resume(path: Path) -> TrainingRun:
    run = TrainingRun(TINY_RUN, torch.device("cpu"))
    load_checkpoint(run, path)
    return run


def _usable_run(run: TrainingRun) -> bool:
    moments = [value for o in run.optimizers for entry in o.state.values() for value in entry.values()]
    tensors = [*run.network.state_dict().values(), *run.average.state_dict().values(), *moments, run.loss_sum]
    return run.step >= 0 and all(bool(t.isfinite().all()) for t in tensors)


# -- images ------------------------------------------------------------------------------------------------------------


def _scene(channels: int = 3, dtype: type = np.uint8, height: int = 12, width: int = 17) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    planes = [np.sin(0.3 * x + c) * np.cos(0.2 * y + 2 * c) for c in range(channels)]
    return ((np.stack(planes, -1) + 1) / 2 * np.iinfo(dtype).max).round().astype(dtype)


def _pillow(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def _tiff(pixels: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def _with_chunk(png: bytes, kind: bytes, body: bytes) -> bytes:
    chunk = struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
    return png[:33] + chunk + png[33:]


def _photos() -> dict[str, dict[str, bytes]]:
    """Good files by format."""
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    rgb, rgb16, exif = Image.fromarray(_scene()), _scene(3, np.uint16), Image.Exif()
    exif[274] = 6
    photo, alpha = Photo(_scene()), Photo(_scene(), _scene(1)[..., 0])
    deep, deep_alpha = Photo(rgb16, None, icc), Photo(rgb16, _scene(1, np.uint16)[..., 0])
    text = zlib.compress(b"x" * 100)
    return {
        "png": {
            "rgb.png": encode(photo, ".png"),
            "alpha.png": encode(alpha, ".png"),
            "grey.png": encode(Photo(_scene(1)), ".png"),
            "palette.png": _pillow(rgb.quantize(16), "PNG", transparency=0),
            "bits.png": _pillow(rgb.convert("1"), "PNG"),
            "exif.png": _pillow(rgb, "PNG", exif=exif, icc_profile=icc),
            "text.png": _with_chunk(encode(photo, ".png"), b"zTXt", b"Comment\0\0" + text),
            "deep.png": encode(deep, ".png"),
            "deep alpha.png": encode(deep_alpha, ".png"),
            "deep grey.png": bytes(imagecodecs.png_encode(rgb16[..., 0].copy())),
        },
        "jpeg": {
            "rgb.jpg": encode(photo, ".jpg"),
            "grey.jpg": encode(Photo(_scene(1)), ".jpg"),
            "progressive.jpg": _pillow(rgb, "JPEG", progressive=True, exif=exif, icc_profile=icc),
        },
        "tiff": {
            "rgb.tif": encode(photo, ".tif"),
            "alpha.tif": encode(alpha, ".tif"),
            "exif.tif": _pillow(rgb, "TIFF", exif=exif, icc_profile=icc),
            "lzw.tif": _pillow(rgb, "TIFF", compression="tiff_lzw"),
            "bits.tif": _pillow(rgb.convert("1"), "TIFF", compression="group4"),
            "deep.tif": encode(deep, ".tif"),
            "deep alpha.tif": encode(deep_alpha, ".tif"),
            "deep raw.tif": _tiff(rgb16, photometric="rgb"),
            "deep lzw.tif": _tiff(rgb16, photometric="rgb", compression="lzw", predictor=True),
            "deep tiles.tif": _tiff(rgb16, photometric="rgb", tile=(16, 16), compression="adobe_deflate"),
            "deep planes.tif": _tiff(np.moveaxis(rgb16, -1, 0).copy(), photometric="rgb", planarconfig="separate"),
            "deep big.tif": _tiff(rgb16, photometric="rgb", bigtiff=True, byteorder=">"),
            "deep negative.tif": _tiff(rgb16[..., 0], photometric="miniswhite"),
        },
    }


def _usable_photo(photo: Photo) -> bool:
    height, width, channels = photo.colour.shape
    kinds = photo.colour.dtype in (np.uint8, np.uint16) and channels in (1, 3)
    matching = photo.alpha is None or (photo.alpha.shape == (height, width) and photo.alpha.dtype == photo.colour.dtype)
    return kinds and matching and 0 < height * width <= MAX_PIXELS


# -- kernels -----------------------------------------------------------------------------------------------------------

KERNEL = np.array([[0, 1, 2], [0, 5, 0], [3, 0, 0]], dtype=np.float64)


def _npy(values: np.ndarray, **options: Any) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, values, **options)
    return buffer.getvalue()


def _kernels() -> dict[str, bytes]:
    text = io.BytesIO()
    np.savetxt(text, KERNEL)
    return {
        "k.npy": _npy(KERNEL),
        "fortran.npy": _npy(np.asfortranarray(KERNEL.astype(">f4"))),
        "k.npz": mutate.rezip({"k.npy": _npy(KERNEL)}, compressed=False),
        "k compressed.npz": mutate.rezip({"k.npy": _npy(KERNEL)}, compressed=True),
        "k.txt": text.getvalue(),
        "k.png": encode(Photo(KERNEL.astype(np.uint8)[..., None]), ".png"),
    }


def _in_an_archive(data: bytes) -> bytes:
    return mutate.rezip({"k.npy": data}, compressed=True)


def _usable_kernel(kernel: np.ndarray) -> bool:
    odd = kernel.ndim == 2 and all(side % 2 for side in kernel.shape)
    return odd and bool(np.isfinite(kernel).all()) and abs(kernel.sum() - 1) < 1e-6


def _usable_mask(mask: np.ndarray) -> bool:
    return mask.dtype == bool and mask.ndim == 2 and bool(mask.any())


def _targets() -> dict[str, Target]:
    photos = _photos()
    masks = {name: photos["png"][name] for name in ("grey.png", "bits.png", "palette.png")}
    return {
        "safetensors": Target(_safetensors(), load_dae, _finite, mutate.repair_safetensors),
        "checkpoint": Target(_checkpoints(), _resume, _usable_run, mutate.repair_safetensors),
        "caffemodel": Target(_caffemodels(), load_dae, _finite),
        "png": Target(photos["png"], read_photo, _usable_photo, mutate.repair_png),
        "jpeg": Target(photos["jpeg"], read_photo, _usable_photo),
        "tiff": Target(photos["tiff"], read_photo, _usable_photo, talks=True),  # libtiff, through Pillow
        "kernel": Target(_kernels(), lambda path: read_kernel(str(path)), _usable_kernel),
        "kernel in an archive": Target(
            {"a.npz": _npy(KERNEL)}, lambda path: read_kernel(str(path)), _usable_kernel, wrap=_in_an_archive
        ),
        "mask": Target(masks, read_mask, _usable_mask, mutate.repair_png),
    }


TARGETS = _targets()
