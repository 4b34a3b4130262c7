import pytest

from flue_actors.messages import Usage
from flue_actors.models.catalog import ANTHROPIC, Prices, cost_of


def test_unknown_prices_make_an_unknown_cost() -> None:
    assert cost_of(Usage(input=1_000_000), None) is None


def test_every_kind_of_token_has_its_price_per_million() -> None:
    usage = Usage(input=1_000_000, output=2_000_000, cache_read=3_000_000, cache_write=4_000_000)
    cost = cost_of(usage, Prices(input=1, output=5, cache_read=0.1, cache_write=1.25))
    assert cost is not None
    assert (cost.input, cost.output, cost.cache_read, cost.cache_write) == pytest.approx((1, 10, 0.3, 5))
    assert cost.total == pytest.approx(16.3)


@pytest.mark.parametrize("name", sorted(ANTHROPIC))
def test_listed_models_have_a_window_and_an_output_limit(name: str) -> None:
    info = ANTHROPIC[name]
    assert info.context_window >= 200_000
    assert info.max_tokens is not None
    assert info.max_tokens >= 64_000
