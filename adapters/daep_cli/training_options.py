"""``daep train``: its options as settings of a run, and the settings of an earlier run as options."""

import math
from typing import Any

from daep_prior.images import RGB
from daep_prior.training import FINE_TUNING, TrainingConfig
from daep_prior.training.checkpoint import OtherSettings

#: Options whose value is that of a setting.
SAME = {"batch": "--batch", "crop": "--crop", "blur": "--blur", "seed": "--seed", "learning_rate": "--learning-rate"}
#: Setting that tells a run from new weights from one that adapts a network; other rates follow from it.
FROM_SCRATCH = "warmup"


def stated_noise(noise: str | None, white: float | None, black: float | None) -> str:
    """``--noise``, ``--white`` and ``--black`` as the setting ``noise`` of a run."""
    ends = {"--white": white, "--black": black}
    return " ".join([noise or "", *(f"{option} {value:g}" for option, value in ends.items() if value)]).strip()


def check_ends(white: float | None, black: float | None) -> None:
    """Refuse values of white and black that are no numbers.

    :raises ValueError: with what is expected.
    """
    if white is not None and not 0 < white < math.inf:
        raise ValueError(f"--white {white:g}: expected a positive number, the value of white in the files.")
    if black is not None and not math.isfinite(black):
        raise ValueError(f"--black {black:g}: expected a number, the value of no light in the files.")


def settings(adapted: bool, seed: int, noise: str, chosen: dict[str, Any]) -> dict[str, Any]:
    """The settings of a run, without its network.

    :param bool adapted: it starts from a trained network.
    :param str noise: see :func:`stated_noise`.
    :param dict chosen: the options that may be given, by the name of their setting; ``None``: not given.
    """
    given: dict[str, Any] = {"seed": seed, "noise": noise} | (FINE_TUNING if adapted else {})
    rate = chosen["learning_rate"]
    if rate is not None:  # the others keep their ratios to it
        given |= {"muon_learning_rate": 10 * rate, "final_learning_rate": rate / 100}
    return given | {name: value for name, value in chosen.items() if value is not None}


def other_run(error: OtherSettings, network: dict[str, Any]) -> str:
    """One sentence about the options of the run that a checkpoint belongs to.

    :param dict network: configuration of the network of this run.
    """
    were = dict(error.settings)
    options = []
    if FROM_SCRATCH in were:
        if "network" not in were:  # a network of another kind may have to start from new weights
            options.append("--from-scratch" if were[FROM_SCRATCH] == TrainingConfig.warmup else "no --from-scratch")
        were = {name: value for name, value in were.items() if name not in ("learning_rate", "batch")}
    if "network" in were:
        options += _network_options(were["network"] or {}, network)
    if "noise" in were:
        text = were["noise"] or ""
        options.append(
            text if text.startswith("--") else f"--noise {text}" if text else "neither --noise nor --white nor --black"
        )
    for name, option in SAME.items():
        if name in were:
            options.append(f"{option} {were[name]:g}" if were[name] else f"no {option}")
    found = ", ".join(options) or f"another {', '.join(were)}"
    return f"{error.path}: belongs to a run with {found}; give the same options, or another -o to start anew."


def _network_options(was: dict[str, Any], now: dict[str, Any]) -> list[str]:
    options: list[str] = []
    if was.get("architecture") != now.get("architecture"):
        options.append(f"--network {'unet' if was.get('architecture') == 'unet' else 'paper'}")
    if was.get("channels", RGB) != now.get("channels", RGB):
        options.append(f"--channels {was.get('channels', RGB)}")
    sigma = was.get("sigma")
    if sigma != now.get("sigma"):
        options.append("no --sigma" if sigma is None else f"--sigma {255 * sigma:g}")
    return options
