"""Download of the test images that deepinv offers; only with ``--download``."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
from deepinv.datasets import Kodak24, Set5HR, Set14HR
from deepinv.utils import load_degradation

#: Sides of Levin et al.'s eight kernels, in their order; checks the download.
KERNEL_SIDES = (19, 17, 15, 27, 13, 21, 23, 23)
#: Origin of the files in a data folder.
WHERE = (
    "--download fetches set5/, set14/, kodak24/ and kernels/levin.npz; Levin et al.'s four images (levin/im1.png ...) "
    "and the paper authors' network (reference/DAE_sigma25.caffemodel, github.com/siavashBigdeli/DAEP) are in no "
    "dataset class of deepinv and have to be put there."
)


def fetch(data: Path) -> None:
    """Complete a data folder with ``set5/``, ``set14/``, ``kodak24/`` and ``kernels/levin.npz``.

    :data:`WHERE` names the other files.

    :param Path data: made if it is not there; archives are kept in ``downloads/`` inside.
    :raises SystemExit: the kernels are not those expected.
    """
    downloads = data / "downloads"
    downloads.mkdir(parents=True, exist_ok=True)
    _copy(Set5HR, downloads / "Set5", data / "set5", lambda stem: stem)
    _copy(Set14HR, downloads / "Set14", data / "set14", lambda stem: stem)
    _copy(Kodak24, downloads / "Kodak24", data / "kodak24", lambda stem: f"kodim{int(stem):02d}")
    if not (data / "kernels" / "levin.npz").is_file():
        kernels = [np.asarray(load_degradation("Levin09.npy", downloads, i)) for i in range(len(KERNEL_SIDES))]
        if tuple(kernel.shape[-1] for kernel in kernels) != KERNEL_SIDES:
            raise SystemExit(
                f"Levin09.npy: got kernels with sides {[k.shape[-1] for k in kernels]}; expected {KERNEL_SIDES}."
            )
        (data / "kernels").mkdir(exist_ok=True)
        np.savez(data / "kernels" / "levin.npz", **{f"k{i}": kernel for i, kernel in enumerate(kernels, 1)})


def _copy(dataset: type, root: Path, folder: Path, rename: Callable[[str], str]) -> None:
    if folder.is_dir():
        return
    found = sorted(Path(dataset(root=str(root), download=True).img_dir).glob("*.png"))
    folder.mkdir()
    for path in found:
        shutil.copy(path, folder / f"{rename(path.stem)}.png")
