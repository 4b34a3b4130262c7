"""The judge of the fault lab finds what is planted: a lab that cannot fail proves nothing."""

import msgspec
import pytest

from flue_actors.conversation.entries import SettledBody, Source, message_entry, settled_entry
from flue_actors.conversation.outcome import ZERO
from flue_actors.events import ModelName, PromptResult
from flue_actors.ids import AgentKey
from flue_actors.messages import Message
from flue_actors.storage import Entry, Submission
from tests.conversation.build import reply, result, user
from tests.faults.book import Book
from tests.faults.picture import Picture
from tests.faults.verdict import Effect, broken_promises, effects, unfinished

KEY = AgentKey("worker", "u1")
encode = msgspec.json.encode


def message(seq: int, said: Message, owner: str, source: Source = "model") -> Entry:
    return message_entry(seq, said, source, submission_id=owner)


def ended(seq: int, owner: str) -> Entry:
    return settled_entry(seq, 1, owner, SettledBody(outcome="completed", duration_ms=1))


def row(number: int) -> Submission:
    answer = PromptResult(text=f"echo {number}", usage=ZERO, model=ModelName(provider="p", id="m"))
    return Submission(
        id=f"sub_{number}",
        key=KEY,
        session="default",
        kind="direct",
        payload=encode({"message": f"T{number}T"}),
        accepted_at=1,
        seq=number + 1,
        status="settled",
        outcome="completed",
        attempt=1,
        result=encode(answer),
    )


ENTRIES = (
    message(1, user("T0T"), "sub_0", "prompt"),
    message(2, reply("", "c1"), "sub_0"),
    message(3, result("c1"), "sub_0", "tool"),
    message(4, reply("echo 0"), "sub_0"),
    ended(5, "sub_0"),
    message(6, user("T1T"), "sub_1", "prompt"),
    message(7, reply("echo 1"), "sub_1"),
    ended(8, "sub_1"),
)
DONE = effects(["post worker/u1/default/c1 -", "build worker/u1/default/c2 first", "build worker/u1/default/c2 second"])


def book() -> Book:
    made = Book()
    for number in range(2):
        sent = made.enter("worker/u1", "http", at=number)
        sent.told, sent.result = number + 0.5, f"echo {number}"
    return made


def picture(*rows: Submission, entries: tuple[Entry, ...] = ENTRIES) -> Picture:
    return Picture(rows or (row(0), row(1)), {(KEY, "default"): entries})


def without(*seqs: int) -> tuple[Entry, ...]:
    """The entries without these, numbered anew."""
    kept = [entry for entry in ENTRIES if entry.seq not in seqs]
    return tuple([msgspec.structs.replace(entry, seq=seq) for seq, entry in enumerate(kept, 1)])


def test_what_is_as_it_should_be_is_not_complained_of() -> None:
    assert broken_promises(picture(), book(), DONE, {"sub_0": row(0)}) == []
    assert unfinished(picture()) == []


replace = msgspec.structs.replace
PLANTED = {
    "an input is lost": (picture(row(0)), "T1T was acknowledged over http and is lost"),
    "an input is doubled": (picture(row(0), row(1), replace(row(1), id="sub_2")), "T1T was accepted 2 times"),
    "an answer is not what was said": (picture(replace(row(0), result=row(1).result), row(1)), "T0T was answered"),
    "the order is another": (picture(replace(row(0), seq=3), row(1)), "not worked on in the order of acceptance"),
    "a call has no result": (picture(entries=without(3)), "the results of c1"),
    "a result has no call": (picture(entries=without(2)), "a result without a call"),
    "an outcome is not told": (picture(entries=without(5)), "sub_0 is settled and has 0 outcomes"),
    "an input stands twice": (picture(entries=(*ENTRIES[:1], *without())), "stands twice"),
    "a reply is recomputed": (picture(entries=(*ENTRIES[:4], *ENTRIES[3:])), "has 2 last replies"),
    "an outcome changes": (picture(replace(row(0), outcome="failed"), row(1)), "is another now"),
}


@pytest.mark.parametrize(("seen", "complaint"), PLANTED.values(), ids=PLANTED.keys())
def test_a_planted_fault_is_found(seen: Picture, complaint: str) -> None:
    assert any(complaint in each for each in broken_promises(seen, book(), DONE, {"sub_0": row(0)}))


@pytest.mark.parametrize(
    ("done", "complaint"),
    [
        ([*DONE, Effect("post", "worker/u1/default/c1", "-")], "post ran 2 times"),
        ([*DONE, Effect("build", "worker/u1/default/c2", "first")], "build ran its first step again"),
    ],
)
def test_an_execution_too_many_is_found(done: list[Effect], complaint: str) -> None:
    assert any(complaint in each for each in broken_promises(picture(), book(), done, {}))


def test_an_input_that_overtook_another_is_found() -> None:
    late = book()
    late.sent[0].sent, late.sent[0].told = 5, 6  # sent after the other one was told that it is accepted
    assert any("stands behind it" in each for each in broken_promises(picture(), late, DONE, {}))


def test_work_that_is_left_is_found() -> None:
    assert unfinished(picture(replace(row(0), status="running", outcome=None), row(1))) != []
