"""Find the numbers of the presets for a network or a kind of image, on crops of training images.

    python benchmarks/tune_presets.py FOLDER_OF_TRAINING_IMAGES -o settings.json [--network NAME|FILE]

The result is a file for DAEP(settings="settings.json"). Test images choose no numbers, so FOLDER holds training images
alone.

For each noise level, and for noise-free measurements, the search first finds the numbers of the preset "fast", then
those that "annealed" and "best" add. Numbers: kernel widths, prior weights, steps, momentum, and the noise level of the
last denoising. Score: mean PSNR over the measured pixels of random crops, one an image. Degradations: blur by random
motion of 15 to 31 pixels, defocus, or a Gaussian, and white noise; noise-free: super-resolution by 2 and 3. Search: one
number after the other is multiplied and divided by 1.4, then by 1.2, as long as the score rises. With ``--search
gradients`` the steps of "fast" are unfolded and its numbers follow the gradient of the score: 14 steps on six crops,
which cost as much as 12 trials on 16 crops.

``--border circular`` searches the numbers of "fast" for circular blurs, which the other presets use too.

Half of the crops choose the numbers. The other half decides whether they are accepted: its mean PSNR must rise too, by
0.01 dB and two standard errors or more. The gains of both halves are printed and written to the file, with the crops,
the seed and the command. More crops make smaller gains certain.

Each trial is appended to settings.trials.csv beside the result. After an interruption (Ctrl-C) the same command
continues the search, and its result is that of an uninterrupted one.
"""

from __future__ import annotations

import argparse
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from preset_search import PHASES, Found, Trials, search
from tuning_crops import SMALLEST_CROP, Crops, UnusableFolderError, choose_crops

from daep_deepinv import DAEDenoiser
from daep_prior import schedules
from daep_prior.schedules import FastSettings, Settings, SettingsTable, read_settings, write_settings

#: Noise levels of the shipped settings, of 255; 0: noise-free.
LEVELS = "2.55,7.65,12.75,0"
#: Enough to try each of the 17 numbers of ``annealed`` up and down.
TRIALS = 36
#: The file of the shipped settings, the start of a search by default.
SHIPPED = Path(schedules.__file__).with_name("settings.json")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("folder", type=Path, metavar="FOLDER", help="training images, also in sub-folders")
    made.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    made.add_argument(
        "--network", default="dae", help="a shipped name or a weight file, noise-conditional; default dae"
    )
    made.add_argument("--levels", default=LEVELS, help=f"noise levels of 255, 0: noise-free; default {LEVELS}")
    made.add_argument("--presets", default="fast,annealed", help="fast, annealed, or both, the default")
    made.add_argument("--border", choices=("valid", "circular"), default="valid", help="of the blur; default valid")
    made.add_argument(
        "--search", choices=("coordinates", "gradients"), default="coordinates", help="default coordinates"
    )
    made.add_argument("--trials", type=int, default=TRIALS, help=f"most trials a search; default {TRIALS}")
    made.add_argument("--crops", type=int, default=16, help="number of crops, each of another image; default 16")
    made.add_argument("--size", type=int, default=128, help="height and width of a crop, pixels; default 128")
    made.add_argument("--kernels", type=int, default=1, help="blur kernels of a crop; default 1")
    made.add_argument("--seed", type=int, default=0, help="of crops, kernels and noise; default 0")
    made.add_argument("--start", type=Path, default=SHIPPED, help="settings to begin with; default the shipped ones")
    return made


def parsed(argv: list[str]) -> argparse.Namespace:
    """The arguments, checked; ``levels`` and ``presets`` as lists."""
    made = parser()
    arguments = made.parse_args(argv)
    for name, least in (("trials", 1), ("crops", 2), ("size", SMALLEST_CROP), ("kernels", 1), ("seed", 0)):
        if getattr(arguments, name) < least:
            made.error(f"--{name}: got {getattr(arguments, name)}; expected at least {least}")
    if arguments.crops // 2 * arguments.kernels < 2:
        made.error(
            f"--crops, --kernels: got {arguments.crops}, {arguments.kernels}; expected two held-out measurements"
        )
    try:
        levels = [float(level) for level in arguments.levels.split(",")]
    except ValueError:
        levels = [-1.0]
    if not all(0 <= level <= 255 for level in levels):
        made.error(f"--levels: got {arguments.levels}; expected numbers from 0 to 255, separated by commas")
    arguments.levels, arguments.presets = list(dict.fromkeys(levels)), arguments.presets.split(",")
    if not set(arguments.presets) <= set(PHASES):
        made.error(f"--presets: got {','.join(arguments.presets)}; expected {' or '.join(PHASES)}, or both")
    noisy_fast = arguments.presets == ["fast"] and min(levels) > 0
    if (arguments.border == "circular" or arguments.search == "gradients") and not noisy_fast:
        made.error("--border circular, --search gradients: they are for --presets fast and --levels above 0")
    if arguments.output.resolve() in (arguments.start.resolve(), SHIPPED):
        made.error(f"--output: got {arguments.output}, where the search starts; expected another file")
    if not arguments.output.resolve().parent.is_dir():
        made.error(f"--output: got {arguments.output}; expected a file in a folder that exists")
    if arguments.output.exists():
        try:
            read_settings(arguments.output)
        except ValueError:
            made.error(
                f"--output: got {arguments.output}, which exists and is no file of settings; expected another name"
            )
    return arguments


def start_of(table: SettingsTable, level: float, border: str) -> Settings | FastSettings:
    """The first numbers of a search."""
    found = table.at(level / 255)
    if border == "valid":
        return found
    return table.circular.get(level) or FastSettings(found.fast, found.fast_final_width)


def improved(table: SettingsTable, level: float, found: Found) -> SettingsTable:
    """``table`` with the settings that were found for a noise level."""
    if isinstance(found.settings, FastSettings):
        return replace(table, circular=dict(sorted({**table.circular, level: found.settings}.items())))
    if level == 0:
        return replace(table, noise_free=found.settings)
    return replace(table, levels=dict(sorted({**table.levels, level: found.settings}.items())))


def record(arguments: argparse.Namespace, argv: list[str], crops: Crops) -> dict[str, object]:
    """What the file says about the search, apart from its results."""
    return {
        "command": shlex.join(["python", "benchmarks/tune_presets.py", *argv]),
        "start": "shipped" if arguments.start == SHIPPED else arguments.start.name,
        "folder": crops.folder.resolve().name,
        "images": crops.images,
        "crops": [[crop.file, crop.top, crop.left] for crop in crops.crops],
        "size": arguments.size,
        "kernels": arguments.kernels,
        "seed": arguments.seed,
        "border": arguments.border,
        "trials": arguments.trials,
    }


def tune(arguments: argparse.Namespace, argv: list[str], crops: Crops, trials: Trials, table: SettingsTable) -> None:
    """All searches, starting from ``table``. The file is written after each of them."""
    notes, results = record(arguments, argv, crops), {}
    origin = (
        f"benchmarks/tune_presets.py on {len(crops.crops)} crops of {arguments.size} x {arguments.size} pixels of the "
        f"training images in {notes['folder']!r}: half of them chose the numbers, the others accepted them. "
        "What is not in the results of the search is as at its start."
    )
    for level in arguments.levels:
        noise = f"noise {level:g}" if level else "noise-free"
        for preset in sorted(set(arguments.presets), key=list(PHASES).index):
            log(f"{noise}, {preset}:")
            start = start_of(table, level, arguments.border)
            found = search(start, preset, level, trials, arguments.trials, log, arguments.search)
            table = improved(table, level, found)
            for half, (before, after) in (("search", found.search), ("held-out", found.held_out)):
                log(f"  {half} half: {before:.3f} -> {after:.3f} dB ({after - before:+.3f})")
            verdict = "accepted" if found.accepted else "not accepted"
            log(f"  {verdict}; standard error of the held-out gain: {found.error:.3f} dB")
            results[f"{noise}, {preset}"] = {
                "search half, start and found": found.search,
                "held-out half, start and found": found.held_out,
                "standard error of the held-out gain": found.error,
                "accepted": found.accepted,
            }
            notes["mean PSNR in dB over the measured pixels"] = results
            name = Path(arguments.network).name
            write_settings(arguments.output, table, network=name, origin=origin, search=notes)


def log(line: str) -> None:
    """Print a line at once."""
    print(line, flush=True)


def main(argv: list[str] | None = None) -> int:
    """Search and write; the exit status."""
    argv = sys.argv[1:] if argv is None else argv
    arguments = parsed(argv)
    try:
        start = read_settings(arguments.start)
        network = DAEDenoiser(arguments.network)
        options = (arguments.crops, arguments.size, arguments.kernels, arguments.seed)
        crops = choose_crops(arguments.folder, *options, border=arguments.border)
    except (UnusableFolderError, ValueError, OSError) as error:
        parser().error(str(error))
    if network.sigma is not None:
        level = f"{255 * network.sigma:g}/255"
        parser().error(f"--network: got {arguments.network}, trained for noise of {level} alone; expected all levels")
    path = arguments.output.with_suffix(".trials.csv")
    trials = Trials(path, crops, network)
    if trials.known():
        print(f"continues with {trials.known()} trials in {path}")
    try:
        tune(arguments, argv, crops, trials, start)
    except KeyboardInterrupt:
        print(f"\nstopped; the same command continues with the trials in {path}")
        return 130
    print(f"wrote {arguments.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
