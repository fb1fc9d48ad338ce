"""DAEP for deepinv's benchmark suite, https://github.com/deepinv/benchmarks.

Copy this file into the ``solvers`` folder of a benchmark there: super-resolution, inpainting, deblurring or denoising
of grey or RGB images, with Gaussian noise or none. The noise level is that of the physics.
"""

import deepinv as dinv
import torch
from benchopt import BaseSolver


class Solver(BaseSolver):
    """The denoising-autoencoder prior with its own shipped network; see :class:`daep_deepinv.DAEP`."""

    name = "DAEP"

    parameters = {"preset": ["annealed"]}  # noqa: RUF012 (benchopt's form)

    requirements = ["pip::daep-prior"]  # noqa: RUF012

    def set_objective(self, train_dataset=None, physics=None):
        """Make the reconstructor; it needs no training."""
        from daep_deepinv import DAEP

        device = dinv.utils.get_freer_gpu() if torch.cuda.is_available() else "cpu"
        self.model = DAEP(preset=self.preset, device=device)
        self.model.device = device

    def run(self, _):
        """Nothing to optimise: the objective calls the model."""

    def get_result(self):
        """The model, called ``model(y, physics)`` by the objective."""
        return {"model": self.model}
