"""How a structured result is got out of a model: two tools, or a promise of the provider, and reminders."""

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET

from flue_actors.definition.results import ResultShape
from flue_actors.definition.tools import Tool, ToolAnswer, define_tool
from flue_actors.errors import ResultUnavailableError, ToolArgumentsError
from flue_actors.messages import AssistantMessage, ToolResultMessage, text_of

FOLLOW_UPS: Final = 32
"""How often the model is reminded before the result is given up."""

CHECKED_HERE: Final = 100_000
"""Bytes of schema times bytes of data that are checked on the loop, in at most 20 ms; more of it would hold up everybody else."""

FINISH: Final = "finish"
GIVE_UP: Final = "give_up"

_FOOTER: Final = (
    "\n\nWhen you are done, call the tool finish with the result, exactly once. If you cannot come to a result, call "
    "give_up with the reason. Plain text is not taken as an answer."
)
_REMINDER: Final = "You have not given the result yet. Call finish with it now, or give_up if there is none."
_NATIVE_REMINDER: Final = "That was not the result in the requested shape. Answer with the JSON alone."
_CUT_OFF: Final = (
    "Your answer was longer than what is allowed, and was cut off. Give the same result in fewer words, as JSON alone."
)


class ResultAsking:
    """Asks for one result.

    Attributes:
        reminders: How often the model was reminded.

    Args:
        native: The schema the provider promises to follow; None: the model is given tools instead.
    """

    def __init__(self, shape: ResultShape[Any], native: dict[str, Any] | None) -> None:
        self._shape = shape
        self.reminders = 0
        self._given = False
        self.native = native

    @property
    def footer(self) -> str:
        """What is added to the message that asks."""
        return _FOOTER if self.native is None else ""

    @property
    def tools(self) -> tuple[Tool, ...]:
        """What the model gives the result with."""
        if self.native is not None:
            return ()
        finish = define_tool(
            name=FINISH,
            description="Give the final result of the request. Ends the work.",
            parameters=self._shape.parameters,
            execute=self._finish,
            idempotent=True,
        )
        give_up = define_tool(
            name=GIVE_UP,
            description="Say that no result of the requested shape can be given. Ends the work.",
            parameters={
                "type": "object",
                "properties": {"reason": {"type": "string", "minLength": 1}},
                "required": ["reason"],
            },
            execute=self._give_up,
            idempotent=True,
        )
        return finish, give_up

    @property
    def is_over(self) -> bool:
        """True when the model was reminded often enough; counts as one more reminder."""
        self.reminders += 1
        return self.reminders > FOLLOW_UPS

    async def judge(self, message: AssistantMessage) -> tuple[Any, str]:
        """The result in a last reply (UNSET: there is none), and what to tell the model then."""
        if self.native is None:
            return UNSET, _REMINDER
        try:
            return await self._check(self._shape.checked, msgspec.json.decode(text_of(message))), ""
        except (msgspec.DecodeError, RecursionError):
            return UNSET, _CUT_OFF if message.stop_reason == "length" else _NATIVE_REMINDER
        except ToolArgumentsError as error:
            return UNSET, f"{error.message}\n{_NATIVE_REMINDER}"

    async def _check(self, check: Callable[[Any], Any], data: Any) -> Any:
        """What ``check`` says of the data. Raises ToolArgumentsError."""
        if self._shape.size * len(msgspec.json.encode(data)) <= CHECKED_HERE:
            return check(data)
        return await asyncio.to_thread(check, data)

    def found(self, results: Sequence[ToolResultMessage]) -> Any:
        """The result among the answers of tools; UNSET: there is none."""
        for each in results:
            if each.tool_name == FINISH and not each.is_error and "result" in each.details:
                return each.details["result"]
        return UNSET

    def given_up(self, results: Sequence[ToolResultMessage], last: AssistantMessage) -> ResultUnavailableError:
        """What it is settled with when the model gave up."""
        said = [each.details["givenUp"] for each in results if each.tool_name == GIVE_UP and "givenUp" in each.details]
        return ResultUnavailableError(meta={"reason": said[0] if said else "", "text": text_of(last)})

    async def _finish(self, arguments: dict[str, Any]) -> ToolAnswer:
        data = await self._check(self._shape.unwrap, arguments)
        if self._given:
            return ToolAnswer(text="The result was given already.", terminate=True)
        self._given = True
        return ToolAnswer(text="The result is taken.", details={"result": data}, terminate=True)

    async def _give_up(self, arguments: dict[str, Any]) -> ToolAnswer:
        return ToolAnswer(text="The request is given up.", details={"givenUp": arguments["reason"]}, terminate=True)
