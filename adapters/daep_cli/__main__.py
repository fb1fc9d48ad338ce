"""Start ``daep``, also as ``python -m daep_cli``, if the packages of the extra ``[cli]`` are installed."""

import sys
from importlib.util import find_spec

#: Import names of these packages.
PACKAGES = ("typer", "rich", "PIL", "filelock", "scipy", "skimage", "imagecodecs", "tifffile")


def main() -> int:
    """Run the command line, see :func:`daep_cli.main.main`; status 2 if a package is missing."""
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        sys.stderr.write(f"daep: error: {', '.join(missing)} missing; pip install 'daep-prior[cli]'\n")
        return 2
    from daep_cli.main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
