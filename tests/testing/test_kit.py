"""What the kit promises: these names and no others."""

import flue_actors.testing

NAMES = {
    "FlueRuntime",
    "FunctionModel",
    "Machine",
    "RecordedModel",
    "ScriptedModel",
    "VirtualClock",
    "VirtualTimeLoop",
    "calls",
    "in_virtual_time",
    "reply",
    "run_virtual",
    "thinks",
}


def test_the_names_are_pinned_and_every_one_says_what_it_is() -> None:
    assert set(flue_actors.testing.__all__) == NAMES
    assert [name for name in NAMES if not getattr(flue_actors.testing, name).__doc__] == []


def test_an_unknown_name_is_an_ordinary_attribute_error() -> None:
    assert not hasattr(flue_actors.testing, "no_such_name")
