import pytest

from flue_actors.errors import InvalidRequestError
from flue_actors.gateway.queries import seconds, whole_number


@pytest.mark.parametrize(("text", "number"), [(None, 7), ("1", 1), ("010", 10), ("50", 50)])
def test_a_whole_number_in_its_range(text: str | None, number: int) -> None:
    assert whole_number("limit", text, default=7, low=1, high=50) == number


@pytest.mark.parametrize("text", ["", "0", "51", "-1", "1.0", "1e1", " 1", "1_0", "٣", "x", "9" * 5000, "1\n"])
def test_anything_else_is_no_whole_number_of_that_range(text: str) -> None:
    with pytest.raises(InvalidRequestError, match='"limit" must be a whole number from 1 to 50'):
        whole_number("limit", text, default=7, low=1, high=50)


@pytest.mark.parametrize(("text", "number"), [(None, 2.0), ("0", 0.0), ("0.25", 0.25), ("60", 60.0)])
def test_seconds_may_have_a_fraction(text: str | None, number: float) -> None:
    assert seconds("wait", text, default=2.0, high=60.0) == number


@pytest.mark.parametrize("text", ["", "60.1", "-1", "nan", "inf", "1e1", "1.", ".5", " 1", "x", "9" * 5000])
def test_anything_else_is_no_time_to_wait(text: str) -> None:
    with pytest.raises(InvalidRequestError, match='"wait" must be a number of seconds from 0 to 60'):
        seconds("wait", text, default=2.0, high=60.0)
