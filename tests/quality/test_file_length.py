"""One noun per file: a file that grew past 450 lines has another one inside."""

from tests.quality.repository import ROOT

LONGEST = 450
ROOMS = ("flue_actors", "gateway", "store", "benchmarks", "examples")


def test_no_file_is_longer_than_450_lines() -> None:
    lengths = {
        str(file.relative_to(ROOT)): len(file.read_text().splitlines())
        for room in ROOMS
        for file in (ROOT / room).rglob("*.py")
    }
    assert lengths
    assert {file: length for file, length in lengths.items() if length > LONGEST} == {}
