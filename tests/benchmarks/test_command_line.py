"""The benchmarks' command line, as a developer uses it. Figures themselves are nobody's test."""

import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.catalog import BENCHMARKS
from benchmarks.results import Figure, Goal, from_json, summarise
from tests.quality.repository import ROOT


def _benchmarks(*arguments: str | Path) -> str:
    command = [sys.executable, "-m", "benchmarks", *map(str, arguments)]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True, timeout=50).stdout


def test_list_names_every_benchmark() -> None:
    listed = [line.split()[0] for line in _benchmarks("list").splitlines()]
    assert listed == list(BENCHMARKS)


def test_a_quick_run_writes_a_report_that_compares_with_itself(tmp_path: Path) -> None:
    target = tmp_path / "report.json"
    shown = _benchmarks("run", "prompt_cache", "--quick", "--json", target)
    report = from_json(target.read_bytes())
    share = report.benchmarks["prompt_cache"]["read_from_cache_share"]
    assert share.unit == "share"
    assert share.goal == BENCHMARKS["prompt_cache"].goals["read_from_cache_share"]
    assert "prompt_cache.read_from_cache_share" in shown
    assert "1.000" in _benchmarks("compare", target, target)
    assert report.machine.packages["flue-actors"]


def test_every_goal_is_of_a_benchmark_with_a_module() -> None:
    for name in BENCHMARKS:
        assert (ROOT / "benchmarks" / f"{name}.py").is_file()


def test_a_figure_is_the_median_of_its_samples_judged_by_its_goal() -> None:
    samples = [{"turns_per_s": rate} for rate in (1_000.0, 3_000.0, 2_500.0)]
    figures = summarise(samples, {"turns_per_s": Goal(at_least=2_000)})
    assert figures["turns_per_s"] == Figure(
        unit="1/s",
        median=2_500.0,
        spread=2_000.0,
        samples=(1_000.0, 3_000.0, 2_500.0),
        goal=Goal(at_least=2_000),
        met=True,
    )
    assert summarise([{"delay_ms": 101.0}], {"delay_ms": Goal(at_most=100)})["delay_ms"].met is False


def test_a_report_survives_json() -> None:
    figures = summarise([{"left_bytes": 1.0}, {"left_bytes": 3.0}], {})
    assert msgspec.json.decode(msgspec.json.encode(figures), type=dict[str, Figure]) == figures
