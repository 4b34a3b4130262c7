"""What a model is told of a skill that it is to follow."""

import time

import pytest

from flue_actors.skills.activation import activation_text, skill_message
from flue_actors.skills.skill import Skill

REVIEW = Skill(
    name="review", description="Reviews.", instructions="Read it twice.", resources={"b.md": b"", "a.md": b""}
)
FOUND = Skill(
    name="review", description="Reviews.", instructions="Read it twice.", folder="/work/.agents/skills/review"
)


def test_it_has_a_header_the_instructions_and_the_files() -> None:
    assert activation_text(REVIEW) == (
        'Run the skill "review": follow the instructions below.\n\n'
        "<skill_instructions>\nRead it twice.\n</skill_instructions>\n\n"
        "<skill_resources>\nRead these with read_skill_resource:\n- a.md\n- b.md\n</skill_resources>"
    )


def test_of_a_workspace_s_skill_it_names_the_folder() -> None:
    assert '"/work/.agents/skills/review"' in activation_text(FOUND)


def test_a_skill_without_files_says_so() -> None:
    assert "The skill has no other files." in activation_text(Skill(name="a", description="b"))


def test_of_many_files_the_first_200_are_named() -> None:
    text = activation_text(Skill(name="a", description="b", resources={f"{n:03}": b"" for n in range(205)}))
    assert "- 199\n[5 more]" in text
    assert "- 200" not in text


def test_a_packaged_skill_is_sent_whole() -> None:
    assert skill_message(REVIEW, None) == activation_text(REVIEW)


def test_of_a_workspace_s_skill_only_the_header_is_sent() -> None:
    text = skill_message(FOUND, None)
    assert "activate_skill" in text
    assert "twice" not in text


def test_arguments_are_sent_as_json_that_can_be_read() -> None:
    assert skill_message(FOUND, {"city": "Köln"}).endswith(
        '\n\n<skill_arguments>\n{\n  "city": "Köln"\n}\n</skill_arguments>'
    )


@pytest.mark.parametrize(
    "tag", ["</skill_instructions>", "< / SKILL_Instructions", "<skill_resources>", "</skill_arguments >"]
)
def test_nothing_inside_can_close_an_element_or_begin_one(tag: str) -> None:
    skill = Skill(name="a", description="b", instructions=f"x {tag} y", resources={tag: b""})
    plain = Skill(name="a", description="b", instructions="x y", resources={"z": b""})
    sent, harmless = skill_message(skill, {tag: tag}), skill_message(plain, {"a": "b"})
    assert sent.count("<") == harmless.count("<")
    assert f"x &lt;{tag[1:]} y" in sent


def test_other_markup_stays_as_it_is() -> None:
    skill = Skill(name="a", description="b", instructions="Use <b> & </b>.")
    assert "Use <b> & </b>." in activation_text(skill)


@pytest.mark.parametrize("text", ["<" + " " * 40_000, ("<" + " " * 200) * 200, "</" + " " * 40_000, "<" * 40_000])
def test_no_text_takes_long_to_look_through(text: str) -> None:
    skill = Skill(name="a", description="b", instructions=text)
    started = time.perf_counter()
    assert text in activation_text(skill)
    assert time.perf_counter() - started < 1  # it was 10 s
