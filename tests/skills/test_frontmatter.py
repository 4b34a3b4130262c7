"""What a ``SKILL.md`` may say, and what of it is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from flue_actors.errors import ConfigError
from flue_actors.skills.frontmatter import LARGEST, parse_skill
from flue_actors.skills.skill import Skill
from tests.skills.written import skill_md


def refusal(text: str | bytes, directory: str = "review") -> str:
    with pytest.raises(ConfigError) as caught:
        parse_skill(text if isinstance(text, bytes) else text.encode(), directory)
    return caught.value.message


def test_every_field_is_read() -> None:
    text = """---
name: review
description: Reviews code. Use it before a merge.
license: Apache-2.0
compatibility: Needs git.
metadata:
  author: example
  version: 1.0
allowed-tools: Bash(git:*) Read
---

# Review

Read it twice.
"""
    assert parse_skill(text.encode(), "review") == Skill(
        name="review",
        description="Reviews code. Use it before a merge.",
        instructions="# Review\n\nRead it twice.",
        license="Apache-2.0",
        compatibility="Needs git.",
        metadata={"author": "example", "version": "1.0"},
        allowed_tools=("Bash(git:*)", "Read"),
    )


def test_a_name_and_a_description_are_enough() -> None:
    skill = parse_skill(b"---\nname: a\ndescription: b\n---", "a")
    assert (skill.name, skill.description, skill.instructions) == ("a", "b", "")


def test_a_byte_order_mark_and_dos_line_ends_are_fine() -> None:
    text = "\ufeff" + skill_md(body="one\ntwo").replace("\n", "\r\n")
    assert parse_skill(text.encode(), "review").instructions == "one\ntwo"


def test_a_line_in_the_body_may_look_like_a_fence() -> None:
    assert parse_skill(skill_md(body="a\n---\nb").encode(), "review").instructions == "a\n---\nb"


def test_a_description_may_have_several_lines() -> None:
    text = "---\nname: review\ndescription: >\n  Reviews code\n  with care.\n---\n"
    assert parse_skill(text.encode(), "review").description == "Reviews code with care."


def test_fields_that_nobody_knows_are_left_alone() -> None:
    text = "---\nname: review\ndescription: d\nhooks:\n  - run: [a, b]\n---\n"
    assert parse_skill(text.encode(), "review").name == "review"


@pytest.mark.parametrize(
    "name", ["Review", "re view", "-review", "review-", "re--view", "réview", "review_2", "a/b", '""']
)
def test_a_name_that_is_none_is_refused(name: str) -> None:
    refusal(skill_md(name), name.strip('"'))


def test_a_name_of_64_characters_is_the_longest() -> None:
    assert parse_skill(skill_md("a" * 64).encode(), "a" * 64).name == "a" * 64
    assert '"name" has 65 characters' in refusal(skill_md("a" * 65), "a" * 65)


def test_the_name_is_that_of_the_directory() -> None:
    assert refusal(skill_md("review"), "other") == (
        "The skill in 'other' is refused: Its name is \"review\", and that of its directory is not."
    )


@pytest.mark.parametrize("field", ["name", "description"])
@pytest.mark.parametrize("value", ["", '""', '"  "'])
def test_name_and_description_cannot_be_blank(field: str, value: str) -> None:
    assert f'"{field}" is missing' in refusal(skill_md(**{field: value}))


def test_the_longest_description_has_1024_characters() -> None:
    assert parse_skill(skill_md(description="d" * 1024).encode(), "review").description == "d" * 1024
    assert '"description" has 1025 characters; 1024 are allowed' in refusal(skill_md(description="d" * 1025))


def test_the_longest_compatibility_has_500_characters() -> None:
    assert parse_skill(skill_md(compatibility="c" * 500).encode(), "review").compatibility == "c" * 500
    assert '"compatibility" has 501 characters' in refusal(skill_md(compatibility="c" * 501))


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", 'does not begin with a line "---"'),
        ("name: review", 'does not begin with a line "---"'),
        ("---\nname: review\ndescription: d\n", "has no end"),
        ("---\n- review\n---\n", "is no mapping"),
        ("---\nreview\n---\n", "is no mapping"),
        ("---\n---\n", '"name" is missing'),
        ("---\nname: [review\n---\n", "is no YAML"),
        ("---\nname: review\nname: review\n---\n", "'name' twice"),
        ("---\nname: [review]\n---\n", '"name" is no text'),
        ("---\nname: {a: b}\n---\n", '"name" is no text'),
        ("---\n[a]: b\n---\n", "a key that is no text"),
        ("---\nname: &a review\ndescription: *a\n---\n", "anchor or alias"),
        ("---\nname: review\ndescription: !!python/object/apply:os.system [ls]\n---\n", "has a tag"),
        ("---\nname: review\ndescription: !!int 1\n---\n", "has a tag"),
        ('---\nname: review\ndescription: "\\ud800"\n---\n', "a character that is none"),
        ('---\nname: review\ndescription: "\\UFFFFFFFF"\n---\n', "is no YAML"),
        ("---\nname: review\ndescription: d\nmetadata: text\n---\n", '"metadata" is no mapping'),
        ("---\nname: review\ndescription: d\nmetadata:\n  a: [b]\n---\n", '"a" is no text'),
        ("---\n" + "[" * 5_000 + "\n---\n", "nests too deep"),
        ("---\nname: review\nx: " + "x" * 20_000 + "\n---\n", "longer than 16 KiB"),
        ("---\n%YAML " + "1" * 9_000 + ".1\n---\n", "is refused"),
        ("---\nname: review\ndescription: a\x00b\n---\n", "is no YAML"),
        (b"---\nname: \xff\n---\n", "is not UTF-8"),
    ],
)
def test_what_breaks_a_rule_is_refused_with_the_reason(text: str | bytes, why: str) -> None:
    assert why in refusal(text)


def test_a_file_that_is_too_large_is_refused() -> None:
    assert "larger than 256 KiB" in refusal(skill_md(body="x" * LARGEST))


def test_anchors_cannot_multiply_a_small_file() -> None:
    bomb = "\n".join([f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9) if n else 'lol'}]" for n in range(12)])
    assert "anchor or alias" in refusal(f"---\n{bomb}\n---\n")


_line = st.sampled_from(
    [
        "---",
        "name: review",
        "description: d",
        "metadata:",
        "  a: b",
        "- x",
        "? [",
        "}",
        "&a",
        "*a",
        "%YAML 1.1",
        "!!x y",
        "|",
    ]
)
_rubbish = st.one_of(
    st.binary(),
    st.text().map(lambda text: f"---\nname: review\ndescription: {text}\n---\n".encode(errors="replace")),
    st.text().map(lambda text: f"---\n{text}\n---\nbody".encode(errors="replace")),
    st.lists(st.one_of(_line, st.text(max_size=9))).map(
        lambda lines: "\n".join(["---", *lines]).encode(errors="replace")
    ),
    st.text('"\\uUxXN{}0dDfF8 ', max_size=30).map(lambda text: f'---\nname: "{text}"\n---\n'.encode()),
)


@given(_rubbish)
def test_rubbish_is_a_skill_or_a_config_error_and_nothing_else(data: bytes) -> None:
    try:
        skill = parse_skill(data, "review")
    except ConfigError as error:
        assert error.message.isprintable()
    else:
        assert skill.name == "review"
        assert 0 < len(skill.description) <= 1024


@pytest.mark.parametrize("nested", ["[" * 9 + "]" * 9, "[" * 7_000, "{a: " * 3_000, "\n  " + "- " * 5_000])
def test_a_frontmatter_that_nests_deep_is_refused(nested: str) -> None:
    assert "nests too deep" in refusal(f"---\nname: review\ndescription: d\nmore: {nested}\n---\n")


def test_other_fields_may_have_lists_and_mappings() -> None:
    text = "---\nname: review\ndescription: d\nmore: {a: [b, {c: [d]}]}\n---\n"
    assert parse_skill(text.encode(), "review").name == "review"
