"""Messages of the library in the words of the command line: options as they are typed, not Python arguments."""

import re

#: Argument of the library -> what the user typed.
TYPED = {
    "batch": "--batch",
    "blur": "--blur",
    "channels": "--channels",
    "crop": "--crop",
    "denoiser": "--denoiser",
    "device": "--device",
    "learning_rate": "--learning-rate",
    "max_iter": "--iterations",
    "preset": "--preset",
    "seed": "--seed",
    "sigma": "--noise",
    "size": "--kernel-size",
    "steps": "--steps",
    "tile": "--tile",
    "y": "the image",
}
#: Parts of sentences about Python, and what they are here.
PHRASES = {
    "the blur of photograph 0 ": "its blur ",
    "the kernel of photograph 0 ": "its kernel ",
    "photograph 0 counts ": "it counts ",
    ", another size= or more starts=": ", or another size=",
    "BlindDAEP(varying=True)": "--varying",
    "DAEP(check_noise=False) trusts sigma": "--no-check-noise trusts --noise",
}
#: The advice of the library about units does not hold for files, whose white is 255.
TOO_MUCH_NOISE = re.compile(r"sigma: \S+ is more than the largest value of the measurement, .*")


def in_options(message: str, command: str = "") -> str:
    """A message in which the options are named as they are typed.

    :param str command: of ``daep``; ``kernel`` takes a kernel as its argument, not as ``--kernel``.
    """
    message = TOO_MUCH_NOISE.sub("--noise: is more than every value of the image; white is 255.", message)
    for python, words in PHRASES.items():
        message = message.replace(python, words)
    message = re.sub(r"\bsize=(?=\d)", "--kernel-size ", message)
    message = re.sub(r"\bsize=", "--kernel-size", message)
    names = "|".join(TYPED)
    message = re.sub(rf"(^|: )({names}): ", lambda found: f"{found[1]}{TYPED[found[2]]}: ", message)
    if command == "kernel":
        message = message.removeprefix("--kernel ").replace("--kernel-size", "--size")
    return message
