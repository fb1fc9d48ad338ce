"""The readers that are fuzzed: for each the good files that damage starts from, and what a good result is."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import mutate
import numpy as np
import torch
from kinds_of_file import KINDS, picture, raw_file
from PIL import Image

from daep_cli.kernels.reading import read_kernel
from daep_cli.masks import read_mask
from daep_cli.photographs.changed_metadata import enlarged
from daep_cli.photographs.photo import MAX_BYTES, Photo
from daep_cli.photographs.reading import count_pages, read_photo
from daep_cli.photographs.writing import converted, encode
from daep_cli.training_files import read_training_images
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
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)  # the same files each time
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
    run = TrainingRun(TINY_RUN, torch.device("cpu"))  # its seed is 0
    run.network(torch.full((1, 3, 8, 8), 0.5)).sum().backward()
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
    networks = (run.network, run.average, run.best)
    tensors = [*(t for n in networks for t in n.state_dict().values()), *moments, run.loss_sum]
    return run.step >= 0 and all(bool(t.isfinite().all()) for t in tensors)


# -- images ------------------------------------------------------------------------------------------------------------


def _photos(*suffixes: str) -> dict[str, bytes]:
    """Good files of every kind with one of these suffixes."""
    return {name: content() for name, (_, content) in KINDS.items() if name.endswith(suffixes)}


def _tiffs() -> dict[str, bytes]:
    bits = Image.fromarray(picture()).convert("1")
    buffer = io.BytesIO()
    bits.save(buffer, "TIFF", compression="group4")
    return {**_photos(".tif"), "bits.tif": buffer.getvalue()}


def _read_pages(path: Path) -> list[Photo]:
    """The first and the last image of the file, written again, also as enlarged and of another number type."""
    pages = count_pages(path)
    photos = [read_photo(path, page) for page in sorted({0, pages - 1})]
    for photo in photos:
        suffixes = {".tif", ".fits" if photo.alpha is None and find_spec("astropy") else ".tif"}
        metadata = enlarged(photo.metadata, 2 * photo.size[0], 2 * photo.size[1], 2)
        for suffix in suffixes:
            encode(photo, suffix)
            encode(converted(replace(photo, metadata=metadata), np.uint16), suffix)
    return photos


def _usable_photos(photos: list[Photo]) -> bool:
    return bool(photos) and all(_usable_photo(photo) for photo in photos)


def _usable_photo(photo: Photo) -> bool:
    height, width, _ = photo.colour.shape
    kinds = photo.colour.dtype.kind in "iuf" and bool(np.isfinite(photo.colour).all())
    alike = [layer for layer in (photo.alpha, photo.missing) if layer is not None]
    return kinds and all(layer.shape == (height, width) for layer in alike) and 0 < photo.colour.nbytes <= MAX_BYTES


def _training(path: Path) -> list[Any]:
    """The images of a file for training; what is said about a file that is skipped is the error."""
    lines: list[str] = []
    try:
        images, _ = read_training_images(path.parent, None, 4, None, lines.append)
    except ValueError as error:
        raise ValueError(f"{path.name}: {'; '.join(lines) or error}") from error
    return images


def _in_a_folder(read: Callable[[Path], Any]) -> Callable[[Path], Any]:
    """``read`` on a copy of the file in a folder of its own."""

    def alone(path: Path) -> Any:
        with tempfile.TemporaryDirectory() as folder:
            copy = Path(folder, path.name)
            copy.write_bytes(path.read_bytes())
            return read(copy)

    return alone


def _usable_training(images: list[Any]) -> bool:
    return all(image.values.size > 0 and image.black < image.top for image in images)


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
        "k.csv": text.getvalue().replace(b" ", b","),
        "k.png": encode(Photo(KERNEL.astype(np.uint8)[..., None]), ".png"),
        "k.tif": encode(Photo(KERNEL.astype(np.float32)[..., None]), ".tif"),
        "several.npy": _npy(np.stack([KERNEL, KERNEL])),
    }


def _in_an_archive(data: bytes) -> bytes:
    return mutate.rezip({"k.npy": data}, compressed=True)


def _usable_kernel(kernel: np.ndarray) -> bool:
    odd = kernel.ndim in (2, 3) and all(side % 2 for side in kernel.shape[-2:])
    return odd and bool(np.isfinite(kernel).all()) and bool((abs(kernel.sum((-2, -1)) - 1) < 1e-5).all())


def _usable_mask(mask: np.ndarray) -> bool:
    return mask.dtype == bool and mask.ndim == 2 and bool(mask.any())


def _arrays() -> dict[str, bytes]:
    values = picture(2, np.uint16)
    return {
        "grey.npy": _npy(values[..., 0]),
        "two.npy": _npy(values),
        "complex.npy": _npy(values[..., 0] + 1j * values[..., 1]),
        "a.npz": mutate.rezip({"a.npy": _npy(values), "b.npy": _npy(values[..., 0])}, compressed=True),
    }


def _targets() -> dict[str, Target]:
    png = _photos(".png")
    holes = Photo(np.full((12, 17, 3), 255, np.uint8), picture(1)[..., 0])
    masks = {"grey8.png": png["grey8.png"], "bits.png": png["bits.png"], "holes.png": encode(holes, ".png")}
    targets = {
        "safetensors": Target(_safetensors(), load_dae, _finite, mutate.repair_safetensors),
        "checkpoint": Target(_checkpoints(), _resume, _usable_run, mutate.repair_safetensors),
        "caffemodel": Target(_caffemodels(), load_dae, _finite),
        "png": Target(png, read_photo, _usable_photo, mutate.repair_png),
        "jpeg": Target(_photos(".jpg"), read_photo, _usable_photo),
        "tiff": Target(_tiffs(), _read_pages, _usable_photos, talks=True),  # libtiff, through Pillow
        "kernel": Target(_kernels(), lambda path: read_kernel(str(path)), _usable_kernel, talks=True),  # cleaned: said
        "kernel in an archive": Target(
            {"a.npz": _npy(KERNEL)},
            lambda path: read_kernel(str(path)),
            _usable_kernel,
            wrap=_in_an_archive,
            talks=True,
        ),
        "mask": Target(masks, read_mask, _usable_mask, mutate.repair_png),
        "training arrays": Target(_arrays(), _in_a_folder(_training), _usable_training),
    }
    if find_spec("astropy"):
        targets["fits"] = Target(_photos(".fits"), _read_pages, _usable_photos, talks=True)
    if find_spec("rawpy"):
        targets["raw"] = Target({"a.dng": raw_file()}, _read_pages, _usable_photos, talks=True)
    return targets


TARGETS = _targets()
