"""Whole runtimes in virtual time, with crashes: no schedule breaks a promise, and a planted bug does not stay hidden."""

import logging
from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.faults.simulation.actions import OPERATIONS, make_plan
from tests.faults.simulation.machine import SimulationMachine
from tests.faults.simulation.world import run

SEEDS = 2_000
SHARES = 20
EVERY = SEEDS // SHARES


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    """What a crash and a broken tool log is expected here, and costs more than the runs."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("first", range(0, SEEDS, EVERY))
def test_no_schedule_breaks_a_promise(first: int) -> None:
    for seed in range(first, first + EVERY):
        problems = run(make_plan(seed))
        again = f"python -m tests.faults.simulation --seed {seed} --trace"
        assert not problems, f"{again}\n" + "\n".join(problems)


def test_a_seed_is_one_schedule() -> None:
    traces: list[list[str]] = [[], []]
    for trace in traces:
        run(make_plan(11), trace=trace)
    assert traces[0] == traces[1]
    assert any("=== life 2" in line for line in traces[0])


def test_every_schedule_has_at_least_twenty_operations() -> None:
    assert all(sum(isinstance(action, OPERATIONS) for action in make_plan(seed).actions) >= 20 for seed in range(100))


def test_no_rules_break_a_promise() -> None:
    run_state_machine_as_test(
        SimulationMachine,
        settings=settings(
            max_examples=60,
            stateful_step_count=25,
            deadline=None,
            derandomize=True,
            database=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
