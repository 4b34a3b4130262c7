"""What was used, and what of it is too much."""

import pytest

from flue_actors.conversation.budget import Budget, tokens_of
from flue_actors.conversation.outcome import ZERO
from flue_actors.definition.limits import Limits
from flue_actors.errors import CostLimitError, InstanceLimitError, TokenLimitError, TurnError, TurnLimitError
from flue_actors.messages import Cost, Usage


def used(tokens: int = 10, dollars: float | None = 0.0) -> Usage:
    cost = None if dollars is None else Cost(total=dollars)
    return Usage(input=tokens - 1, output=1, total_tokens=tokens, cost=cost)


@pytest.mark.parametrize(
    ("limits", "error"),
    [
        (Limits(), None),
        (Limits(turns=3), None),
        (Limits(turns=2), TurnLimitError),
        (Limits(tokens=21), None),
        (Limits(tokens=20), TokenLimitError),
        (Limits(cost=3.0), None),
        (Limits(cost=2.0), CostLimitError),
    ],
)
def test_a_cap_is_crossed_when_it_is_reached(limits: Limits, error: type[TurnError] | None) -> None:
    budget = Budget(limits)
    for _ in range(2):
        assert budget.crossed() is None
        budget.count(used(10, 1.0))
    crossed = budget.crossed()
    assert crossed is None if error is None else isinstance(crossed, error)


def test_everything_that_goes_in_or_comes_out_is_a_token() -> None:
    assert tokens_of(Usage(input=1, output=2, cache_read=4, cache_write=8)) == 15


def test_what_a_task_uses_counts_for_everybody_above_it() -> None:
    top = Budget(Limits(turns=2))
    middle = Budget(Limits(), parent=top)
    below = Budget(Limits(), parent=middle)
    below.count(used())
    assert below.crossed() is None
    below.count(used())
    for each in (below, middle, top):
        assert isinstance(each.crossed(), TurnLimitError)
    assert (top.usage, tokens_of(top.total), tokens_of(middle.total)) == (ZERO, 20, 20)


def test_what_one_task_may_use_is_nothing_to_the_next_one() -> None:
    top = Budget(Limits())
    first, second = (Budget(Limits(tokens=10), parent=top) for _ in range(2))
    first.count(used())
    assert isinstance(first.crossed(), TokenLimitError)
    assert second.crossed() is None
    assert top.crossed() is None


def test_earlier_attempts_count() -> None:
    budget = Budget(Limits(turns=3), turns=2, usage=used(20), tasks=used(5))
    assert budget.crossed() is None
    budget.count(used(10))
    assert isinstance(budget.crossed(), TurnLimitError)
    assert (tokens_of(budget.usage), tokens_of(budget.total)) == (30, 35)


def test_a_summary_costs_tokens_and_is_no_turn() -> None:
    budget = Budget(Limits(turns=1, tokens=10))
    budget.count_below(used(10))
    assert budget.turns == 0
    assert isinstance(budget.crossed(), TokenLimitError)


@pytest.mark.parametrize("limits", [Limits(total_tokens=100), Limits(total_cost=5.0)])
def test_an_instances_whole_life_counts_what_was_before(limits: Limits) -> None:
    assert Budget(limits, before=used(89, 3.0)).crossed() is None
    assert isinstance(Budget(limits, before=used(100, 5.0)).crossed(), InstanceLimitError)
    budget = Budget(limits, before=used(89, 3.0))
    Budget(Limits(), parent=budget).count(used(11, 2.0))
    assert isinstance(budget.crossed(), InstanceLimitError)


def test_an_unknown_price_is_not_taken_for_a_sum() -> None:
    budget = Budget(Limits(cost=1.0))
    budget.count(used(10, None))
    assert budget.total.cost is None
    assert budget.crossed() is None
