"""Nothing is downloaded, and no file can make us run code."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

#: Python tells an audit hook of every connection, every class that a pickle looks up, and every program that is
#: started. That a socket is made means nothing: urllib3 makes one when it is imported, to see whether there is IPv6.
PROGRAM = """
import sys

watched = ["socket.connect", "socket.getaddrinfo", "socket.gethostby", "socket.send"]
seen = []

def hook(event, arguments):
    if event.startswith(tuple(watched)):
        seen.append(event)
        raise PermissionError(f"{event} {arguments!r:.200}")

sys.addaudithook(hook)
import daep_prior, daep_prior.training, daep_deepinv, daep_cli.main, daep_cli.jobs.one_image, daep_cli.jobs.folder
import daep_cli.demonstration.scene, daep_cli.comparison_report
from daep_prior import load_dae, shipped_networks

watched += ["pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn"]
if sys.argv[1] == "provoke":
    import pickle, socket, subprocess
    connect = lambda: socket.create_connection(("127.0.0.1", 9))
    unpickle = lambda: pickle.loads(pickle.dumps(sys.exit))
    start = lambda: subprocess.run(["true"])
    for act in (connect, unpickle, start):
        try:
            act()
        except PermissionError:
            pass
else:
    for name in shipped_networks():
        load_dae(name)
    status = daep_cli.main.main(["restore", *sys.argv[1:], "--iterations", "1"])
    assert status == 0, status
print("seen", *seen)
"""


def run(environment: dict[str, str], *arguments: object) -> str:
    command = [sys.executable, "-c", PROGRAM, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()[-1]


def test_importing_loading_and_restoring_open_no_socket_and_run_no_foreign_code(environment, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for suffix in ("png", "jpg", "tif"):
        Image.effect_noise((24, 20), 40).save(tmp_path / "in" / f"a.{suffix}")
    assert run(environment, tmp_path / "in", "-o", tmp_path / "out", "--noise", 5) == "seen"
    assert len(list((tmp_path / "out").iterdir())) == 3


def test_the_watch_would_see_it(environment) -> None:
    assert run(environment, "provoke").split()[1:] == ["socket.getaddrinfo", "pickle.find_class", "subprocess.Popen"]
