from flue_actors.messages import TextContent, ToolCall, with_distinct_ids


def test_calls_with_one_id_get_ids_of_their_own_and_the_others_keep_theirs() -> None:
    text = TextContent(text="Both.")
    calls = [ToolCall(id=id, name="look", arguments={}) for id in ("a", "a", "b", "a_2", "a")]
    content = with_distinct_ids((text, *calls))
    assert content[0] is text
    assert [block.id for block in content if isinstance(block, ToolCall)] == ["a", "a_3", "b", "a_2", "a_4"]


def test_distinct_calls_stay_as_they_are() -> None:
    content = (ToolCall(id="a", name="look", arguments={}), ToolCall(id="b", name="look", arguments={}))
    assert with_distinct_ids(content) is content
