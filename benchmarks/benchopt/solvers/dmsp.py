"""DMSP, DAEP without the Jacobian, for deepinv's benchmark suite; see ``daep.py`` beside this file."""

import deepinv as dinv
import torch
from benchopt import BaseSolver


class Solver(BaseSolver):
    """The deep mean-shift prior with the network of DAEP; see :mod:`daep_compare.peers`."""

    name = "DMSP"

    parameters = {}  # noqa: RUF012 (benchopt's form)

    requirements = ["pip::daep-prior"]  # noqa: RUF012

    def set_objective(self, train_dataset=None, physics=None):
        """Make the reconstructor for the noise level of the physics; it needs no training."""
        from daep_compare.peers import Peer

        device = dinv.utils.get_freer_gpu() if torch.cuda.is_available() else "cpu"
        sigma = float(getattr(physics.noise_model, "sigma", 0.0))
        self.model = Peer("dmsp", sigma, "dae").to(device)
        self.model.device = device

    def run(self, _):
        """Nothing to optimise: the objective calls the model."""

    def get_result(self):
        """The model, called ``model(y, physics)`` by the objective."""
        return {"model": self.model}
