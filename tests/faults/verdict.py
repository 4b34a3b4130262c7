"""Which promises a store breaks, after what happened to the processes that served it. Pure; problems as sentences."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

import msgspec

from flue_actors.conversation.entries import is_message, read_message
from flue_actors.events import PromptResult
from flue_actors.messages import AssistantMessage
from flue_actors.models.anthropic.body import request_body
from flue_actors.models.catalog import UNKNOWN
from flue_actors.models.protocol import ModelRequest
from flue_actors.session import Session
from flue_actors.storage import Entry, Submission
from tests.faults.book import Book, token_of
from tests.faults.picture import Picture
from tests.faults.validity import history_problems
from tests.messages_api.validation import refusal

ONCE = ("post", "charge")
"""Tools that are neither idempotent nor durable."""

_EFFECT = re.compile(r"(\w+) (\S+) (\S+)")
_result = msgspec.json.Decoder(PromptResult).decode


class Effect(msgspec.Struct, frozen=True):
    """One execution of a tool (or of one of its steps), from its line in the log."""

    tool: str
    call: str
    step: str


def effects(lines: Iterable[str]) -> list[Effect]:
    """The log, read."""
    return [Effect(*found.groups()) for line in lines if (found := _EFFECT.fullmatch(line.strip()))]


def broken_promises(
    picture: Picture, book: Book, done: Sequence[Effect], before: dict[str, Submission], *, in_turn: bool = True
) -> list[str]:
    """What is wrong at a moment when no process runs.

    Args:
        done: Executions of tools so far.
        before: Every input as it was at an earlier such moment.
        in_turn: All inputs were sent to wait their turn: each has a reply of its own, in the order of acceptance.
    """
    return [
        *_acceptance(picture, book),
        *_outcomes(picture, before),
        *(_order(picture, book) if in_turn else ()),
        *_aborts(picture, book),
        *_histories(picture),
        *(_recomputed(picture) if in_turn else _joined(picture)),
        *_executions(done),
    ]


def unfinished(picture: Picture) -> list[str]:
    """What is left when all work should be done: nothing fails, and only what somebody wanted aborted is."""
    aborted = [each for each in picture.submissions if each.abort is not None]
    unwanted = {each.id for each in aborted} | {each.host for each in aborted if each.host}  # it takes its turn with it
    return [
        f"{each.id} ({token_of(each.payload)}) is {each.status} {each.outcome or ''}, {each.error!r}, host {each.host}"
        for each in picture.submissions
        if each.outcome != "completed" and not (each.outcome == "aborted" and unwanted & {each.id, each.host})
    ]


def _acceptance(picture: Picture, book: Book) -> Iterator[str]:
    """What was acknowledged is there once, what was not at most once, and what was answered is what is stored."""
    rows: dict[str, list[Submission]] = {}
    for row in picture.submissions:
        rows.setdefault(token_of(row.payload), []).append(row)
    for sent in book.sent:
        found = rows.get(sent.token, [])
        if len(found) > 1:
            yield f"{sent.token} was accepted {len(found)} times"
        if sent.told and not found:
            yield f"{sent.token} was acknowledged over {sent.transport} and is lost"
        if sent.result is not None and (not found or _text(found[0]) != sent.result):
            yield f"{sent.token} was answered {sent.result[:40]!r}, and that is not what is stored"


def _aborts(picture: Picture, book: Book) -> Iterator[str]:
    """Who was told of an abort finds the wish stored, unless the work had ended."""
    rows = {token_of(row.payload): row for row in picture.submissions}
    for sent in book.sent:
        row = rows.get(sent.token)
        if sent.aborted and row is not None and row.abort is None and row.status != "settled":
            yield f"{sent.token} was to be aborted, and nothing of that is stored"


def _recomputed(picture: Picture) -> Iterator[str]:
    """An answered input has one last reply: a recorded one is never asked for again."""
    answers: Counter[str] = Counter()
    for entry in [entry for entries in picture.sessions.values() for entry in entries if is_message(entry)]:
        message = read_message(entry).message
        if isinstance(message, AssistantMessage) and message.stop_reason == "stop":
            answers[entry.submission_id or ""] += 1
    for row in picture.submissions:
        if answers[row.id] != (row.outcome == "completed"):
            yield f"{row.id} is {row.outcome or row.status} and has {answers[row.id]} last replies"


def _joined(picture: Picture) -> Iterator[str]:
    """Who joined the turn of another has its outcome."""
    rows = {row.id: row for row in picture.submissions}
    for row in picture.submissions:
        host = rows.get(row.host or "")
        if host is not None and (row.outcome, row.result) != (host.outcome, host.result):
            yield f"{row.id} is {row.outcome or row.status}, and its host {host.id} is {host.outcome or host.status}"


def _text(row: Submission) -> str | None:
    return None if row.result is None else _result(row.result).text


def _outcomes(picture: Picture, before: dict[str, Submission]) -> Iterator[str]:
    rows = {row.id: row for row in picture.submissions}
    for id, earlier in before.items():
        now = rows.get(id)
        if now is None:
            yield f"{id} was {earlier.status}, and is gone"
        elif earlier.status == "settled" and now != earlier:
            yield f"{id} was settled {earlier.outcome}, and is another now"
        elif earlier.abort is not None and now.outcome not in {None, "aborted", earlier.outcome}:
            yield f"{id} was to be aborted when the process died, and is {now.outcome}"
    marks = Counter(e.submission_id for entries in picture.sessions.values() for e in entries if e.kind == "settled")
    for row in picture.submissions:
        settled = row.status == "settled"
        if marks[row.id] > settled or (row.attempt > 0 and marks[row.id] != settled):  # what never began may lack it
            yield f"{row.id} is {row.status} and has {marks[row.id]} outcomes in its history"


def _order(picture: Picture, book: Book) -> Iterator[str]:
    place = {row.id: row.seq for row in picture.submissions}
    for (key, session), entries in picture.sessions.items():
        begun = [entry.submission_id or "" for entry in entries if _is_input(entry)]
        if sorted(begun, key=lambda id: place.get(id, 0)) != begun:
            yield f"{key}/{session} was not worked on in the order of acceptance"
        tokens = [token_of(row.payload) for row in picture.submissions if (row.key, row.session) == (key, session)]
        for first, second in book.overtaken(tokens):
            yield f"{second} was acknowledged before {first} was sent, and stands behind it"


def _is_input(entry: Entry) -> bool:
    return is_message(entry) and read_message(entry).source in {"prompt", "dispatch"}


def _histories(picture: Picture) -> Iterator[str]:
    unsettled = picture.unsettled()
    for (key, name), entries in picture.sessions.items():
        for problem in history_problems(entries, unsettled):
            yield f"{key}/{name}: {problem}"
        context = Session(key, name, entries).transcript.context()
        if context and (problem := refusal(request_body(ModelRequest(model="m", messages=context), UNKNOWN))):
            yield f"{key}/{name}: the provider would refuse it: {problem}"


def _executions(done: Sequence[Effect]) -> Iterator[str]:
    for effect, times in Counter(each for each in done if each.tool in ONCE).items():
        if times > 1:
            yield f"{effect.tool} ran {times} times for {effect.call}"
    steps: dict[str, str] = {}
    for each in done:
        if each.tool == "build" and (steps.get(each.call), each.step) == ("second", "first"):
            yield f"build ran its first step again after the second had begun, for {each.call}"
        steps[each.call] = each.step
