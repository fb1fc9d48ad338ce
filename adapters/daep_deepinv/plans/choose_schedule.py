"""Choose the preset's schedule for a measurement and its noise."""

from __future__ import annotations

from deepinv.physics import Denoising, LinearPhysics
from torch import Tensor

from daep_deepinv.noise.model import NoiseModel
from daep_deepinv.noise.variance import PartsVariance, white_level
from daep_deepinv.operators.circular_blur import VOLUMES, circular_task
from daep_deepinv.operators.subsampling import is_subsampling
from daep_deepinv.plans.choices import Choices
from daep_deepinv.plans.choose_data_term import few_evaluations
from daep_deepinv.prior import DAEPrior
from daep_deepinv.view import View
from daep_prior import Schedule, schedules
from daep_prior.schedules import DEFAULT_PRESET, Task

__all__ = ["preset_name", "preset_schedule"]

#: Largest ratio of the noise levels of stacked parts for which a mask among them counts: the weight of one part is then
#: at most four times that of the other. Set by hand. The stacks of ``benchmarks/physics_matrix.py`` have ratios of at
#: most 1.4 or at least 3.6: values between them give the same verdicts.
ALIKE = 2.0
#: Iterations for random projections. Two training crops, a quarter as many projections as values, in colour: 31.81 and
#: 22.19 dB, 26.90 and 19.56 with 30; the general schedule has 27.43 and 21.28.
RANDOM_ITERATIONS = 60


def preset_name(view: View, choices: Choices) -> str:
    """The preset; ``"fast"`` in place of the default one where each evaluation of the operator costs much."""
    assert choices.preset is not None
    default = choices.preset == DEFAULT_PRESET and choices.iterations is None
    return "fast" if default and few_evaluations(view) else choices.preset


def preset_schedule(
    view: View, image: int, noise: NoiseModel, prior: DAEPrior, choices: Choices, own_start: bool
) -> Schedule:
    """The preset's schedule for the physics and noise of an image of the view."""
    task: Task = "general"
    iterations = choices.iterations
    if isinstance(view.physics, LinearPhysics):
        task, iterations = _sampling(view, noise, prior, choices)
    denoising = isinstance(view.physics, Denoising)
    if denoising and view.used.unknown is not None:
        task = "missing pixels"
    elif denoising and not own_start and view.used.of_all and choices.data_fidelity is None:
        task = "denoising"  # its one step sees no other first image
    elif task == "general" and (_white_and_complete(view, noise, choices) or view.start.ndim == VOLUMES):
        task = circular_task(view.physics, view.y, view.start, image) or task
    return schedules.preset(
        preset_name(view, choices),
        noise.level,
        trained_width=prior.trained_width,
        task=task,
        factor=_factor(view),
        iterations=iterations,
        settings=choices.settings,
    )


def _white_and_complete(view: View, noise: NoiseModel, choices: Choices) -> bool:
    """Whether the data term is least squares over all values, as in the measurements of circular blurs."""
    other = (noise.differences, noise.spectrum, noise.law, choices.data_fidelity)
    return view.used.of_all and all(value is None for value in other)


def _sampling(view: View, noise: NoiseModel, prior: DAEPrior, choices: Choices) -> tuple[Task, int | None]:
    """The task for a linear physics, as far as it measures parts of an image alone, and the number of iterations."""
    if is_subsampling(view.physics, view.y, view.start, exact=True):
        return "missing pixels", choices.iterations
    if choices.preset == "fast" or not (_alike(noise) and is_subsampling(view.physics, view.y, view.start)):
        return "general", choices.iterations
    more = choices.iterations is None and choices.preset == DEFAULT_PRESET and prior.trained_width is None
    return "missing pixels", RANDOM_ITERATIONS if more else choices.iterations


def _alike(noise: NoiseModel) -> bool:
    """Whether the parts of a measurement have about the same noise level."""
    if not isinstance(noise.law, PartsVariance):
        return True
    levels = [white_level(part) for part in noise.law.parts]
    known = [level for level in levels if level is not None]
    return len(known) == len(levels) and max(known) <= ALIKE * min(known)


def _factor(view: View) -> int:
    """Of super-resolution; 1 for other physics."""
    y = view.y
    return max(1, round(view.start.shape[-1] / y.shape[-1])) if isinstance(y, Tensor) and y.ndim == 4 else 1
