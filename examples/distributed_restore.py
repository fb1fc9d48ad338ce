"""Restore on several processes or machines, through ``deepinv.distributed``.

One huge image, whose tiles are spread over two processes:

    torchrun --nproc-per-node 2 examples/distributed_restore.py huge.png -o restored.png --noise 2.55 --kernel psf.png

A folder of images, spread over two processes; results that exist are skipped:

    torchrun --nproc-per-node 2 examples/distributed_restore.py photos/ -o restored/ --noise 10

On several machines, give torchrun ``--nnodes`` and ``--rdzv-endpoint`` too. Without torchrun there is one process.
"""

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from deepinv.distributed import DistributedContext, distribute
from PIL import Image

from daep_cli.kernels.reading import read_kernel
from daep_cli.photographs.tensors import centre
from daep_deepinv import DAEP, degradation

SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}


def read(path, device):
    """An image file as (1, 3, H, W) in [0, 1]."""
    pixels = np.asarray(Image.open(path).convert("RGB"), dtype=np.float32) / 255
    return torch.from_numpy(pixels).permute(2, 0, 1)[None].to(device)


def write(x, path):
    """Write (1, 3, H, W) in [0, 1] as an 8-bit file. It is complete when it gets its name."""
    pixels = (255 * x[0].clamp(0, 1)).round().byte().permute(1, 2, 0).cpu().numpy()
    unfinished = path.with_name(f".{path.stem}.unfinished{path.suffix}")
    Image.fromarray(pixels).save(unfinished)
    os.replace(unfinished, path)


def restore(model, y, arguments):
    """Deblur if there is a kernel, else denoise."""
    kernel = None if arguments.kernel is None else read_kernel(arguments.kernel)
    physics = degradation(kernel, sigma=arguments.noise / 255, device=y.device)
    return centre(model(y, physics), y)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="IN", help="an image, or a folder of images")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="a file, or a folder")
    parser.add_argument("--noise", type=float, required=True, help="standard deviation of the noise; white is 255")
    parser.add_argument("--kernel", help="file of the blur kernel; without: denoise")
    parser.add_argument("--denoiser", help="network: a shipped one, or a .safetensors file")
    parser.add_argument("--iterations", type=int, help="iterations of the solver")
    parser.add_argument("--tile", type=int, default=512, help="height and width of the tiles of one image")
    arguments = parser.parse_args(argv)

    with DistributedContext() as ctx:
        model = DAEP(denoiser=arguments.denoiser, max_iter=arguments.iterations, device=ctx.device)
        if arguments.source.is_dir():
            # many images: each process restores its share of them, independently
            arguments.output.mkdir(exist_ok=True)
            paths = sorted(p for p in arguments.source.iterdir() if p.suffix.lower() in SUFFIXES)
            for index in ctx.local_indices(len(paths)):
                target = arguments.output / paths[index].name
                if not target.exists():
                    write(restore(model, read(paths[index], ctx.device), arguments), target)
                    print(f"process {ctx.rank}: {target}")
        else:
            # one image: every process stores it and computes its share of the tiles of each gradient
            prior = model.prior
            prior.denoiser = distribute(prior.denoiser, ctx, patch_size=arguments.tile)
            x = restore(model, read(arguments.source, ctx.device), arguments)
            if ctx.rank == 0:
                write(x, arguments.output)
                print(arguments.output)


if __name__ == "__main__":
    main()
