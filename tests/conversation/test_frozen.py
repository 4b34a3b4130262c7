"""What a session keeps telling the model unchanged, and when it tells what is new."""

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.conversation.frozen import Freeze, Frozen, decode_frozen, encode_frozen, freeze
from flue_actors.conversation.workspace_context import FoundSkill


class Definition(msgspec.Struct, frozen=True):
    """What `freeze` looks at."""

    setup_id: str = "setup"
    instructions_id: str = "old"
    instructions: str = "Be kind."
    shared: bool = True


OLD, NEW = Definition(), Definition(instructions_id="new", instructions="Be brief.")
FIRST = freeze(None, OLD, "Monday").frozen


def test_the_first_turn_freezes_what_is_and_tells_nothing() -> None:
    frozen = Frozen(setup_id="setup", instance_text="Monday", system_id="old", told_id="old")
    assert freeze(None, OLD, "Monday") == Freeze(frozen, changed=True, told=False)


def test_the_day_after_nothing_changes() -> None:
    assert freeze(FIRST, OLD, "Tuesday") == Freeze(FIRST, changed=False, told=False)


def test_changed_instructions_are_told_once_and_the_system_prompt_stays() -> None:
    first = freeze(FIRST, NEW, "Tuesday")
    assert (first.told, first.frozen.system_id, first.frozen.instance_text) == (True, "old", "Monday")
    assert freeze(first.frozen, NEW, "Tuesday") == Freeze(first.frozen, changed=False, told=False)


def test_instructions_that_come_back_are_told_again() -> None:
    assert freeze(freeze(FIRST, NEW, "Monday").frozen, OLD, "Monday").told


def test_a_new_setup_freezes_anew() -> None:
    other = msgspec.structs.replace(OLD, setup_id="other")
    again = freeze(FIRST, other, "Tuesday")
    assert (again.frozen.instance_text, again.changed, again.told) == ("Tuesday", True, False)


def test_a_new_setup_with_other_instructions_tells_of_them_too() -> None:
    again = freeze(FIRST, msgspec.structs.replace(NEW, setup_id="other"), "Tuesday")
    assert (again.frozen.system_id, again.told) == ("new", True)


def test_instructions_of_one_instance_are_kept_with_it() -> None:
    assert FIRST.system is None
    assert freeze(None, msgspec.structs.replace(OLD, shared=False), "Monday").frozen.system == "Be kind."


def test_the_skills_of_the_workspace_stay_with_the_text_that_names_them() -> None:
    found = (FoundSkill("review", "Reviews code.", ".agents/skills/review"),)
    first = freeze(None, OLD, "Monday", found).frozen
    assert freeze(first, NEW, "Tuesday").frozen.skills == found
    assert freeze(first, msgspec.structs.replace(OLD, setup_id="other"), "Tuesday").frozen.skills == ()
    assert decode_frozen(encode_frozen(first)) == first


_definitions = st.builds(
    Definition, setup_id=st.sampled_from("xy"), instructions_id=st.sampled_from("abc"), shared=st.booleans()
)


@given(st.lists(_definitions, min_size=1, max_size=12))
def test_whatever_changes_the_model_has_the_newest_instructions_and_is_told_no_more_than_needed(
    definitions: list[Definition],
) -> None:
    frozen: Frozen | None = None
    for each in definitions:
        before = frozen
        decided = freeze(before, each, "Monday")
        frozen = decode_frozen(encode_frozen(decided.frozen))
        assert frozen == decided.frozen
        assert frozen.told_id == each.instructions_id
        assert decided.told == (before is not None and before.told_id != each.instructions_id)
        assert decided.changed == (frozen != before)
        if before is not None and before.setup_id == each.setup_id:
            assert (frozen.system_id, frozen.instance_text) == (before.system_id, before.instance_text)
