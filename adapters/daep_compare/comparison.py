"""One degradation of a clean image, many methods: quality, time and network evaluations side by side."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from deepinv.physics import LinearPhysics, Physics
from torch import Tensor, nn

from daep_compare.methods import known_methods, make_method, usual_methods
from daep_compare.results import Comparison, Result
from daep_compare.run_method import Judge, run_method
from daep_deepinv import DAEP
from daep_deepinv.denoiser import as_denoiser
from daep_deepinv.noise.stated import stated_noise
from daep_deepinv.operators.right_adjoint import tested_adjoint
from daep_deepinv.starts.starting_point import starting_point, valid_margins
from daep_prior.arguments import check_switch, real_number, whole_number

__all__ = ["compare", "compare_each"]


def compare(
    x: Tensor,
    physics: LinearPhysics,
    methods: Sequence[str] | None = None,
    *,
    added: Mapping[str, nn.Module] | None = None,
    sigma: float | None = None,
    denoiser: nn.Module | str | os.PathLike[str] = "dae",
    seed: int = 0,
    lpips: bool | None = None,
) -> Comparison:
    """Degrade a clean image once and restore it by many methods. :func:`compare_each` shows each result at once.

    Methods with a network share one. Images are rounded to 8 bits before they are judged. The border that a ``valid``
    blur does not measure is not judged.

    :param torch.Tensor x: clean image, (1, C, H, W) in [0, 1], C = 1 or 3.
    :param deepinv.physics.LinearPhysics physics: the degradation, with its noise model.
    :param methods: names from :func:`daep_compare.known_methods`; default :func:`daep_compare.usual_methods`.
    :param added: further methods by name: any deepinv ``Reconstructor``, or other module called ``model(y, physics)``.
    :param float sigma: noise level assumed by the methods, images in [0, 1]; default that of the physics.
    :param denoiser: the network: any deepinv denoiser, a DAE, a shipped name or a weight file.
    :param int seed: of the measurement's noise and of the methods' own.
    :param bool lpips: whether LPIPS is computed, whose network torchvision downloads; default: if it is there already.
    :return: the results in the order of the methods. A method that fails has a result with a remark, and
        so have those that use a wrong ``A_adjoint`` of the physics; :class:`daep_deepinv.DAEP` does not.
    :raises ValueError: an unusable image, an unknown method, no noise level, or one below 0.
    :raises TypeError: no image, no physics, or a further method that is no module.

    >>> import torch
    >>> from daep_compare import compare
    >>> from daep_deepinv import degradation
    >>> found = compare(torch.rand(1, 3, 32, 32), degradation(sigma=0.1), ["pnp-hqs", "tv"])
    >>> [result.method for result in found.results]
    ['pnp-hqs', 'tv']
    """
    options = {"added": added, "sigma": sigma, "denoiser": denoiser, "seed": seed, "lpips": lpips}
    comparison, running = compare_each(x, physics, methods, **options)  # type: ignore[arg-type]
    for _ in running:
        pass
    return comparison


def compare_each(
    x: Tensor,
    physics: LinearPhysics,
    methods: Sequence[str] | None = None,
    *,
    added: Mapping[str, nn.Module] | None = None,
    sigma: float | None = None,
    denoiser: nn.Module | str | os.PathLike[str] = "dae",
    seed: int = 0,
    lpips: bool | None = None,
) -> tuple[Comparison, Iterator[Result]]:
    """Like :func:`compare`, one method at a time.

    :return: the comparison, and an iterator that runs the methods and adds their results to the comparison.
    """
    added = {} if added is None else added
    _check_image(x)
    if not isinstance(physics, Physics):
        raise TypeError(f"physics: got {type(physics).__name__}; expected a deepinv Physics.")
    seed = whole_number("seed", seed, 0)
    if lpips is not None:
        check_switch("lpips", lpips)
    level = _assumed_level(physics, x) if sigma is None else real_number("sigma", sigma, "a finite noise level")
    if isinstance(methods, str):
        raise TypeError(f"methods: got {methods!r}; expected a list of names.")
    chosen = tuple(methods) if methods is not None else usual_methods(physics, level)
    _check_methods(chosen, added)
    network = as_denoiser(denoiser)
    with torch.random.fork_rng(devices=[x.device] if x.is_cuda else []):  # keeps the user's random state
        torch.manual_seed(seed)
        y = physics(x)
    comparison = Comparison(x, y, starting_point(y, physics), valid_margins(physics) or (0, 0, 0, 0))
    judge, remark = Judge(comparison, lpips), ""
    if isinstance(physics, LinearPhysics) and not tested_adjoint(physics, torch.zeros_like(x)).passed:
        remark = f"used A_adjoint of {type(physics).__name__}, which is not its adjoint"
    models: list[tuple[str, nn.Module | None]] = [*((name, None) for name in chosen), *added.items()]

    def run() -> Iterator[Result]:
        for name, model in models:
            result = Result(name)
            try:
                model = make_method(name, level, network, seed, physics) if model is None else model
                run_method(result, model.to(x.device), comparison, physics, network)
                judge(result)
                result.remark = "" if isinstance(model, DAEP) else remark
            except Exception as error:  # whatever it is, it concerns this method only; the others continue
                result.image = None
                result.remark = f"{type(error).__name__}: {' '.join(str(error).split())}"
            comparison.results.append(result)
            yield result

    return comparison, run()


def _check_image(x: Tensor) -> None:
    if not isinstance(x, Tensor):
        raise TypeError(f"x: got {type(x).__name__}; expected one image as a torch.Tensor, (1, C, H, W).")
    if x.ndim != 4 or x.shape[0] != 1 or x.shape[1] not in (1, 3):
        raise ValueError(f"x: got shape {tuple(x.shape)}; expected one image, (1, C, H, W) with C = 1 or 3.")
    if not bool(((x >= 0) & (x <= 1)).all()):
        raise ValueError("x: got values outside [0, 1], or not a number; expected a clean image in [0, 1].")


def _check_methods(methods: Sequence[str], added: Mapping[str, Any]) -> None:
    unknown = sorted(set(methods) - set(known_methods()))
    if unknown:
        raise ValueError(f"methods: got {', '.join(map(repr, unknown))}; expected among {', '.join(known_methods())}.")
    for name, model in added.items():
        if not isinstance(model, nn.Module):
            got = type(model).__name__
            raise TypeError(f"added: {name!r} is of type {got}; expected a torch module called as model(y, physics).")
    taken = sorted(set(added) & set(methods))
    if taken:
        raise ValueError(f"added: {', '.join(map(repr, taken))} is the name of another method; choose a new one.")


def _assumed_level(physics: LinearPhysics, x: Tensor) -> float:
    """The level of the white noise that the physics states, which is all that the peers know."""
    stated = stated_noise(physics, x)
    level = None if stated is None or stated.of(0).impulses is not None else stated.level(0)
    if level is None:
        raise ValueError("sigma: got None, and physics.noise_model states no noise level; expected a number.")
    return level
