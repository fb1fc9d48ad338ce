"""``benchmarks/ranges.py`` on tiny images."""

import csv

import ranges


def test_it_writes_a_row_a_case(tmp_path, monkeypatch):
    path = tmp_path / "ranges.csv"
    monkeypatch.setattr("sys.argv", ["ranges.py", "-o", str(path), "--size", "24", "--factors", "0.125,1"])
    ranges.main()
    rows = list(csv.DictReader(path.open()))
    of = {(row["case"], row["change"]): float(row["dB"]) for row in rows}
    assert len(rows) == 2 * 5 + 6
    assert abs(of["deblurring", "times 0.125"] - of["deblurring", "times 1"]) < 0.1
