"""How much memory is free and how much is taken."""

import pytest
import torch

from daep_prior import energy_gradient, load_dae
from daep_prior.tiling import memory
from daep_prior.tiling.memory import free_memory, peak_bytes

CPU = torch.device("cpu")
GIB = 2**30


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """``machine(files)`` makes one whose ``/proc`` and ``/sys/fs/cgroup`` contain these files."""

    def make(files):
        for name, content in files.items():
            path = tmp_path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(content)
        monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
        monkeypatch.setattr(memory, "CGROUPS", tmp_path / "cgroup")
        monkeypatch.setattr(memory, "kept_bytes", lambda: 0)

    return make


SYSTEM = {"proc/meminfo": f"MemTotal: 99 kB\nMemAvailable:   {16 * 2**20} kB\n"}
VERSION_2 = {"proc/self/cgroup": "0::/batch/job\n"}
VERSION_1 = {"proc/self/cgroup": "9:cpu:/x\n4:hugetlb,memory:/job\n"}
MACHINES = {
    "no limit": (SYSTEM, 16),
    "a group without limit": (
        {**SYSTEM, **VERSION_2, "cgroup/batch/job/memory.max": "max\n", "cgroup/batch/job/memory.current": "5\n"},
        16,
    ),
    "a limit on the group": (
        {
            **SYSTEM, **VERSION_2, "cgroup/batch/job/memory.max": f"{4 * GIB}\n",
            "cgroup/batch/job/memory.current": f"{3 * GIB}\n",
        },
        1,
    ),
    "files that were read count as free": (
        {
            **SYSTEM, **VERSION_2, "cgroup/batch/job/memory.max": f"{4 * GIB}\n",
            "cgroup/batch/job/memory.current": f"{3 * GIB}\n",
            "cgroup/batch/job/memory.stat": f"anon 7\ninactive_file {2 * GIB}\n",
        },
        3,
    ),
    "a limit on its parent": (
        {
            **SYSTEM, **VERSION_2, "cgroup/batch/memory.max": f"{3 * GIB}\n",
            "cgroup/batch/memory.current": f"{1 * GIB}\n",
            "cgroup/batch/job/memory.max": f"{9 * GIB}\n", "cgroup/batch/job/memory.current": f"{1 * GIB}\n",
        },
        2,
    ),
    "version 1": (
        {
            **SYSTEM, **VERSION_1, "cgroup/memory/job/memory.limit_in_bytes": f"{5 * GIB}\n",
            "cgroup/memory/job/memory.usage_in_bytes": f"{2 * GIB}\n",
        },
        3,
    ),
    "more used than allowed": (
        {
            **SYSTEM, **VERSION_2, "cgroup/batch/job/memory.max": f"{1 * GIB}\n",
            "cgroup/batch/job/memory.current": f"{2 * GIB}\n",
        },
        0,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", MACHINES)
def test_free_memory_is_the_least_of_system_and_limits(machine, name):
    files, expected = MACHINES[name]
    machine(files)
    assert free_memory(CPU) == expected * GIB


def test_what_the_process_has_freed_and_kept_is_free(machine, monkeypatch):
    machine(SYSTEM)
    monkeypatch.setattr(memory, "kept_bytes", lambda: GIB)
    assert free_memory(CPU) == 17 * GIB


def test_an_unknown_free_memory_has_a_default(machine):
    machine({})
    assert free_memory(CPU) == free_memory(torch.device("meta")) == memory.ASSUMED_FREE


def test_memory_is_counted_while_it_is_held():
    def computation():
        a = torch.zeros(1000)  # 4000 bytes
        b = a + 1
        view = b[::2]
        del a, b
        return torch.cat([view, view])  # the storage of b lives on in its view

    assert peak_bytes(computation) == 8000


def test_what_was_there_before_does_not_count():
    given = torch.zeros(10**6)
    assert peak_bytes(lambda: given.view(1000, 1000)[:10].t()) == 0
    assert peak_bytes(lambda: given.add_(1)) == 0
    assert peak_bytes(lambda: given[:100] * 2) == 400


def test_the_backward_pass_counts_too():
    """Most of what a gradient takes are the activations that it keeps: at least one byte each of 18 layers of 64."""
    dae = load_dae("dae-sigma25")
    x = torch.rand(1, 3, 32, 32)
    energy_gradient(dae, x, 0.1)
    with torch.no_grad():
        forward = peak_bytes(lambda: dae(x))
    assert peak_bytes(lambda: energy_gradient(dae, x, 0.1)) > forward
