"""No two processes hold the same claim, and no dead one holds any."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from daep_cli.jobs.claims import Claim, state

HOLD = """if True:
    import sys, time
    from pathlib import Path
    from daep_cli.jobs.claims import Claim
    claim = Claim(Path(sys.argv[1]))
    assert claim.take()
    claim.temporary.write_bytes(b"half")
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_killed_process_gives_its_claim_back_and_its_half_result_is_removed(tmp_path: Path, environment) -> None:
    result = tmp_path / "a.png"
    holder = subprocess.Popen([sys.executable, "-c", HOLD, str(result)], env=environment, stdout=subprocess.PIPE)
    assert holder.stdout is not None
    assert holder.stdout.readline() == b"held\n"
    claim = Claim(result)
    assert not claim.take()
    assert claim.temporary.read_bytes() == b"half"
    holder.kill()
    holder.wait()
    assert claim.take()
    assert not claim.temporary.exists()
    claim.release()
    assert os.listdir(tmp_path) == []


def test_claims_on_different_results_do_not_meet_and_the_longest_names_work(tmp_path: Path) -> None:
    claims = [Claim(tmp_path / name) for name in ("a.png", "b.png", "a" * 251 + ".png")]
    assert all(claim.take() for claim in claims)
    assert len({claim.temporary for claim in claims}) == 3
    for claim in claims:
        claim.release()
    assert os.listdir(tmp_path) == []


def test_a_claim_can_be_taken_again_after_it_was_given_back(tmp_path: Path) -> None:
    first, second = Claim(tmp_path / "a.png"), Claim(tmp_path / "a.png")
    for claim in (first, second, first):
        assert claim.take()
        claim.release()


def test_a_replaced_result_is_told_from_the_old_one(tmp_path: Path) -> None:
    result, other = tmp_path / "a.png", tmp_path / "b.png"
    assert state(result) is None
    result.write_bytes(b"1")
    before = state(result)
    assert state(result) == before is not None
    other.write_bytes(b"1")
    os.replace(other, result)
    assert state(result) != before
    result.unlink()
    result.symlink_to(tmp_path / "nowhere")
    assert state(result) is not None
