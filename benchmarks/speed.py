"""Speed of the prior. Each number is the ratio of two times that were measured in turn in one run.

    python benchmarks/speed.py [--rows port types runtimes overhead batch ...] [--sizes 128 256 ...]

* ``port``: our network against a plain port of the authors' program (their network with normalisation as layers,
  float32, contiguous, autograd), for one gradient; and the PSNR of a restoration by each;
* ``types``: a gradient in the number type that ``daep_prior.inference.fast_dtype`` chooses for this processor, against
  the other of bf16 and float32;
* ``runtimes``: the network by ONNX Runtime and OpenVINO against PyTorch, in float32 (these must be installed);
* ``overhead``: the part of 30 iterations outside the network, by playing back the network's outputs; for ``DAEP`` and
  for deepinv's own optimizers with the same denoiser;
* ``data``: restorations whose proximal step uses the structure of the operator, against conjugate gradients without;
* ``batch``: time of a gradient an image, in a batch against alone (a CPU evaluates the images one after another);
* ``size``: time of a gradient a pixel, against an image of 256 x 256;
* ``throughput``: time of the gradient's convolutions alone, against the gradient's;
* ``gpu``: CUDA graphs against kernels started singly, for gradients and for Table 3's case, 128 x 128 and 300
  evaluations; and that case against the paper's 11.19 s (CUDA only).

A CPU is measured by the processor time of one thread, so other programs disturb the numbers little, although they share
caches. The least of several turns counts. Freed memory is kept for the next turn (``daep_prior/inference/heap.py``) in
all that is compared, as in the command line. Rows in ``results/speed.csv`` (GPU: ``speed-gpu.csv``) are not measured
again.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from csv_table import Table
from timing.data_step_rows import data
from timing.gradient_rows import batch, port, size, throughput, types
from timing.race import Rows, conditions
from timing.runtime_rows import runtimes
from timing.solver_rows import gpu, overhead

from daep_prior.inference.heap import keep_freed_memory

RESULTS = Path(__file__).parent / "results"
ROWS: dict[str, Rows] = {
    "port": port,
    "types": types,
    "runtimes": runtimes,
    "overhead": overhead,
    "data": data,
    "batch": batch,
    "size": size,
    "throughput": throughput,
    "gpu": gpu,
}


def main() -> None:
    """Measure the missing rows and print them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", nargs="+", choices=ROWS, default=[name for name in ROWS if name != "runtimes"])
    parser.add_argument("--sizes", nargs="+", type=int, default=[128, 512, 1024, 2048, 4096])
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    parser.add_argument("--results", type=Path, default=RESULTS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()
    file = "speed.csv" if arguments.device.type == "cpu" else "speed-gpu.csv"
    table = Table(arguments.results / file, "key")
    for name in arguments.rows:
        for key, measure in ROWS[name](arguments):
            if table.find(key) is None:
                row = {"key": key, **measure(), "where": conditions(arguments.device)}
                table.add(row)
                numbers = f"{row['ours']:>8} {row['other']:>8} {row['unit']:28} {row['other / ours']:>6}"
                print(f"{key:48} {numbers} {row['is']}")


if __name__ == "__main__":
    main()
