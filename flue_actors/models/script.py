"""The language of the ``scripted/`` models: what a user's text makes them do. Pure; no model, no time.

A line that is a command is a step; every other line is plain text. Without a command the model just answers.

| line | what the model does |
|---|---|
| ``call add {"a": 1}`` | calls the tool; neighbouring ``call`` lines are calls of one reply; the JSON may be left out; broken JSON is passed on as a call with invalid arguments |
| ``then`` | ends the reply: calls after it belong to the next one |
| ``loop add {"a": 1}`` | calls the tool again after every result, for ever; ``loop add x3`` three times |
| ``answer {"a": 1}`` | answers with exactly these words; in a reply that calls tools they come before the calls |
| ``think <words>`` | reasons with these words first |
| ``wait 0.5`` | waits so many seconds before the first event |
| ``fail 529`` | fails with this HTTP status; ``fail 429 after 2`` names a Retry-After of 2 s; ``fail 413`` is a context that is too long |
| ``hang`` | never answers |
| ``half`` | breaks off in the middle of the answer |
| ``refuse`` | declines to answer |
| ``length`` | stops in the middle, at the output limit |
| ``empty`` | answers nothing |

``fail``, ``hang`` and ``half`` happen at every attempt; with ``x2`` at the end only at the first two. Steps are taken in
order: a line after a ``call`` is about the reply that follows the tool results. So ``fail 529 x2`` then ``call add`` fails
twice and calls; ``call add`` then ``fail 529`` calls and fails after the tool ran.
"""

import re
from typing import Any, Final, Literal

import msgspec

FaultKind = Literal["fail", "hang", "half"]
Ending = Literal["stop", "refuse", "length", "empty"]

_FAULT: Final = re.compile(r"(?:(hang|half)|fail (\d{3})(?: after (\d+(?:\.\d+)?))?)(?: x(\d+))?")
_CALL: Final = re.compile(r"call ([A-Za-z][\w-]*)(?:\s+(.+))?")
_LOOP: Final = re.compile(r"loop ([A-Za-z][\w-]*)(?:\s+(\{.*\}))?(?: x(\d+))?")
_WAIT: Final = re.compile(r"wait (\d+(?:\.\d+)?)")
_ENDINGS: Final[dict[str, Ending]] = {"refuse": "refuse", "length": "length", "empty": "empty"}


class Fault(msgspec.Struct, frozen=True):
    """Something that goes wrong at the first ``attempts`` tries (None = at all of them)."""

    kind: FaultKind
    status: int = 0
    retry_after: float | None = None
    attempts: int | None = None


class Call(msgspec.Struct, frozen=True):
    """One tool call to make; ``invalid`` is the raw text when its arguments are not a JSON object."""

    tool: str
    arguments: dict[str, Any] = {}
    invalid: str | None = None


class Step(msgspec.Struct, frozen=True):
    """What one reply does, in this order. Without ``calls`` it answers with text and is the last step.

    ``answer`` replaces the model's own words; None = they stand.
    """

    faults: tuple[Fault, ...] = ()
    wait: float = 0
    think: str = ""
    answer: str | None = None
    calls: tuple[Call, ...] = ()
    endless: bool = False
    ending: Ending = "stop"

    def without_calls(self) -> "Step":
        """What is left of it when no tool may be called."""
        return msgspec.structs.replace(self, calls=(), endless=False)

    def fault(self, attempt: int) -> Fault | None:
        """The fault of this attempt (0, 1, 2, ...), if any: faults follow one another."""
        for fault in self.faults:
            if fault.attempts is None or attempt < fault.attempts:
                return fault
            attempt -= fault.attempts
        return None


_ANSWER: Final = Step()


def parse_script(text: str) -> tuple[Step, ...]:
    """The steps a text asks for; at least one, and the last one answers or is endless."""
    steps: list[Step] = []
    step = _ANSWER
    for line in text.splitlines():
        line = line.strip()
        if call := _CALL.fullmatch(line):
            step = msgspec.structs.replace(step, calls=(*step.calls, _call(call[1], call[2])))
        elif line == "then" or _is_command(line):
            if step.calls:
                steps.append(step)
                step = _ANSWER
            if loop := _LOOP.fullmatch(line):
                steps += _looped(step, loop)
                step = _ANSWER
            else:
                step = _modified(step, line)
    if step.calls:
        steps.append(step)
        step = _ANSWER
    return (*steps, step)


def step_at(script: tuple[Step, ...], rounds: int) -> Step:
    """The step after ``rounds`` replies to the same text."""
    for step in script[:rounds]:
        if step.endless:
            return step
    return script[min(rounds, len(script) - 1)]


def _is_command(line: str) -> bool:
    if line in _ENDINGS or line.startswith(("think ", "answer ")):
        return True
    return any(pattern.fullmatch(line) for pattern in (_FAULT, _LOOP, _WAIT))


def _modified(step: Step, line: str) -> Step:
    replace = msgspec.structs.replace
    if fault := _FAULT.fullmatch(line):
        return replace(step, faults=(*step.faults, _fault(fault)))
    if wait := _WAIT.fullmatch(line):
        return replace(step, wait=float(wait[1]))
    if line.startswith("think "):
        return replace(step, think=line.removeprefix("think "))
    if line.startswith("answer "):
        return replace(step, answer=line.removeprefix("answer "))
    return replace(step, ending=_ENDINGS[line]) if line in _ENDINGS else step


def _fault(match: re.Match[str]) -> Fault:
    kind, status, retry_after, attempts = match.groups()
    return Fault(
        kind="fail" if kind is None else "hang" if kind == "hang" else "half",
        status=int(status or 0),
        retry_after=float(retry_after) if retry_after else None,
        attempts=int(attempts) if attempts else None,
    )


def _looped(step: Step, match: re.Match[str]) -> list[Step]:
    tool, arguments, times = match.groups()
    calls = (_call(tool, arguments),)
    if times is None:
        return [msgspec.structs.replace(step, calls=calls, endless=True)]
    return [msgspec.structs.replace(step, calls=calls)] + [Step(calls=calls)] * (int(times) - 1)


def _call(tool: str, arguments: str | None) -> Call:
    if not arguments:
        return Call(tool)
    try:
        return Call(tool, msgspec.json.decode(arguments, type=dict[str, Any]))
    except msgspec.DecodeError:
        return Call(tool, invalid=arguments)
