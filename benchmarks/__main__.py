"""``python -m benchmarks list | run [NAME ...] | compare A.json B.json``."""

import argparse
import sys
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.catalog import BENCHMARKS
from benchmarks.harness import SampleFailedError, run_all, sample
from benchmarks.results import Report, from_json, table, to_json

RESULTS: Final = Path("bench-results")


def main() -> int:
    """Do what the command line says; the exit status."""
    given = _parser().parse_args()
    match given.command:
        case "list":
            return _list()
        case "run":
            return _run(given.names, given.rounds, given.quick, given.json)
        case "sample":
            print(msgspec.json.encode(sample(given.name, quick=given.quick)).decode())
            return 0
        case _:
            return _compare(given.before, given.after)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="what there is")
    run = commands.add_parser("run", help="run some or all")
    run.add_argument("names", nargs="*", metavar="NAME", choices=[*BENCHMARKS, []], help="default: all")
    run.add_argument("--rounds", type=int, default=None, help="interleaved rounds (default 3; quick: 1)")
    run.add_argument("--quick", action="store_true", help="small and rough: does it run at all?")
    run.add_argument("--json", type=Path, help=f"where the report goes (default: {RESULTS}/<time>.json)")
    one = commands.add_parser("sample", help="one benchmark once, in this process; figures as one line of JSON")
    one.add_argument("name", choices=list(BENCHMARKS))
    one.add_argument("--quick", action="store_true")
    compare = commands.add_parser("compare", help="two reports side by side")
    compare.add_argument("before", type=Path)
    compare.add_argument("after", type=Path)
    return parser


def _list() -> int:
    print(table([(benchmark.name, benchmark.says) for benchmark in BENCHMARKS.values()]))
    return 0


def _run(names: list[str], rounds: int | None, quick: bool, target: Path | None) -> int:
    count = max(1, rounds if rounds is not None else 1 if quick else 3)
    try:
        report = run_all(names or list(BENCHMARKS), rounds=count, quick=quick, say=_say)
    except SampleFailedError as failure:
        _say(str(failure))
        return 1
    if target is None:
        target = RESULTS / f"{report.at.replace(':', '')}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(to_json(report))
    print(_shown(report))
    _say(f"written to {target}")
    return 0


def _compare(before: Path, after: Path) -> int:
    first, second = (from_json(path.read_bytes()) for path in (before, after))
    rows: list[tuple[object, ...]] = [("figure", "unit", "before", "after", "after/before")]
    for name, figures in first.benchmarks.items():
        for figure, then in figures.items():
            now = second.benchmarks.get(name, {}).get(figure)
            if now is not None:
                ratio = now.median / then.median if then.median else float("nan")
                rows.append((f"{name}.{figure}", then.unit, then.median, now.median, ratio))
    print(table(rows))
    if first.machine.cpu != second.machine.cpu or first.quick != second.quick:
        _say("these were not measured alike: read ratios within each report, not across")
    return 0


def _shown(report: Report) -> str:
    rows: list[tuple[object, ...]] = [("figure", "unit", "median", "spread", "goal", "")]
    for name, figures in report.benchmarks.items():
        for figure, found in figures.items():
            verdict = "" if found.met is None else "met" if found.met else "MISSED"
            goal = "" if found.goal is None else str(found.goal)
            rows.append((f"{name}.{figure}", found.unit, found.median, found.spread, goal, verdict))
    return table(rows)


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
