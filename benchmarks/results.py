"""What a run of benchmarks found, as frozen records and JSON. Pure.

A sample is what one call of a benchmark returns: figures by name. Units follow from the name's ending.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, Final

import msgspec

_UNITS: Final = (
    ("_per_s", "1/s"),
    ("_per_cpu_s", "1/cpu s"),
    ("_us", "us"),
    ("_us_per_delta", "us"),
    ("_ms", "ms"),
    ("bytes", "bytes"),
    ("_kib", "KiB"),
    ("_share", "share"),
    ("_ratio", "ratio"),
)
_UNITS_WITHIN: Final = (("_over_", "ratio"), ("ours_to_", "ratio"), ("bytes", "bytes"))


class Goal(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a figure's median has to reach."""

    at_least: float | None = None
    at_most: float | None = None

    def met_by(self, value: float) -> bool:
        """True when the value reaches it."""
        enough = self.at_least is None or value >= self.at_least
        return enough and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        return f">= {self.at_least:g}" if self.at_least is not None else f"<= {self.at_most:g}"


class Figure(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One figure over all rounds. ``spread`` is its largest less its smallest sample; both in ``unit``."""

    unit: str
    median: float
    spread: float
    samples: tuple[float, ...]
    goal: Goal | None = None
    met: bool | None = None


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """Where it was measured. ``load`` is the load average of the last minute when the run began."""

    python: str
    platform: str
    cpu: str
    cpu_count: int
    server_core: int | None
    client_core: int | None
    loop: str
    load: float
    packages: dict[str, str]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. ``at`` is an ISO timestamp; ``benchmarks`` holds figures by benchmark and name."""

    at: str
    quick: bool
    rounds: int
    machine: Machine
    benchmarks: dict[str, dict[str, Figure]]


def unit_of(name: str, default: str = "") -> str:
    """The unit a figure's name stands for."""
    for ending, unit in _UNITS:
        if name.endswith(ending):
            return unit
    return next((unit for part, unit in _UNITS_WITHIN if part in name), default)


def summarise(
    samples: Sequence[Mapping[str, float]], goals: Mapping[str, Goal], *, default_unit: str = ""
) -> dict[str, Figure]:
    """Median and spread of every figure, and whether its goal is met."""
    names = list(dict.fromkeys(name for sample in samples for name in sample))
    return {
        name: _figure(name, [sample[name] for sample in samples if name in sample], goals.get(name), default_unit)
        for name in names
    }


def _figure(name: str, values: Sequence[float], goal: Goal | None, default_unit: str) -> Figure:
    middle = median(values)
    return Figure(
        unit=unit_of(name, default_unit),
        median=middle,
        spread=max(values) - min(values),
        samples=tuple(values),
        goal=goal,
        met=None if goal is None else goal.met_by(middle),
    )


def to_json(report: Report) -> bytes:
    """The report, readable."""
    return msgspec.json.format(msgspec.json.encode(report), indent=2) + b"\n"


def from_json(text: bytes) -> Report:
    """A report from `to_json`. Raises msgspec.ValidationError."""
    return msgspec.json.decode(text, type=Report)


def table(rows: Sequence[Sequence[Any]]) -> str:
    """Rows as columns of text: the first to the left, numbers to the right."""
    cells = [[_cell(cell) for cell in row] for row in rows]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = [
        "  ".join(
            cell.rjust(width) if _is_number(raw) else cell.ljust(width)
            for cell, raw, width in zip(row, given, widths, strict=True)
        ).rstrip()
        for row, given in zip(cells, rows, strict=True)
    ]
    return "\n".join(lines)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float)


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.3f}"
