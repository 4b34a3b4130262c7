"""Messages for the pure rooms' tests."""

from flue_actors.conversation.transcript import Transcript
from flue_actors.messages import (
    AssistantMessage,
    Message,
    StopReason,
    TextContent,
    ToolCall,
    ToolResultMessage,
    Usage,
    UserMessage,
)


def user(text: str = "hi") -> UserMessage:
    return UserMessage(content=(TextContent(text=text),), timestamp=1)


def reply(text: str = "hello", *calls: str, stop: StopReason | None = None) -> AssistantMessage:
    content = (*((TextContent(text=text),) if text else ()), *[call(each) for each in calls])
    return AssistantMessage(
        content=content,
        api="scripted",
        provider="scripted",
        model="echo",
        usage=Usage(),
        stop_reason=stop or ("toolUse" if calls else "stop"),
        timestamp=1,
    )


def call(call_id: str, name: str = "add", **arguments: object) -> ToolCall:
    return ToolCall(id=call_id, name=name, arguments=arguments)


def result(call_id: str, text: str = "3") -> ToolResultMessage:
    return ToolResultMessage(
        tool_call_id=call_id, tool_name="add", content=(TextContent(text=text),), is_error=False, timestamp=1
    )


def transcript(*messages: Message) -> Transcript:
    """Of these messages, which are the entries 1, 2, 3, ..."""
    made = Transcript()
    for seq, message in enumerate(messages, 1):
        made.add(message, seq)
    return made
