"""The clients of a simulated run. They know what they were told, remember it over every crash, and compare."""

import asyncio
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any, Final, Protocol

import msgspec

from flue_actors.conversation.approval import Verdict
from flue_actors.conversation.entries import is_message, is_private, read_message
from flue_actors.errors import (
    ApprovalDecidedError,
    ApprovalNotFoundError,
    DrainingError,
    FlueError,
    InterruptedTurnError,
    NotStartedError,
    OverloadedError,
    QueueFullError,
    SessionBusyError,
    SessionNotFoundError,
    StoreError,
    SubmissionNotFoundError,
    TurnError,
)
from flue_actors.events import ErrorEvent, Operation, PromptResult, PublicError
from flue_actors.ids import TASK_PREFIX, AgentKey
from flue_actors.inputs import CompactInput, DetachedInput, DispatchInput, decode_input
from flue_actors.messages import text_of
from flue_actors.refs import LocalAgentRef, LocalSessionRef
from flue_actors.runtime import Runtime
from flue_actors.storage import Submission
from tests.faults.simulation.actions import INSTANCES, PAD, Abort, Compact, Decide, Erase, Look, Send
from tests.faults.simulation.reference import Reference, Row

KEYS: Final = tuple([AgentKey("agent", f"i{number}") for number in range(INSTANCES)])
SESSIONS: Final = ("default", "side")
EXPECTED: Final = frozenset(
    {"model_error", "model_overloaded", "model_refused", "turn_limit", "deadline_exceeded", "attempts_exhausted"}
    | {"context_overflow"}  # behind a summary too
)
"""What an input may fail with here."""

_decode_result = msgspec.json.Decoder(PromptResult).decode
_decode_error = msgspec.json.Decoder(PublicError).decode


class Process(Protocol):
    """One life of the process."""

    runtime: Runtime
    stopping: bool


class Around(Protocol):
    """What clients need of the world."""

    reference: Reference

    def note(self, line: str) -> None:
        """A line for the trace."""
        ...

    async def urge(self) -> None:
        """Whoever has to decide something does, or their time is over."""
        ...

    def runs(self, life: Any) -> bool:
        """True while this process is alive."""
        ...

    def process(self) -> Process:
        """The living process."""
        ...


class Client:
    """Somebody who sends one input and wants to know what becomes of it."""

    def __init__(self, number: int, send: Send) -> None:
        self.number = number
        self.send = send
        self.key = KEYS[send.instance]
        self.session = SESSIONS[send.session]
        self.id: str | None = None  # of its submission, once it was acknowledged
        self.done = False
        self.unheard = 0  # sends that nobody answered: they may have been accepted
        self.admitted: list[str] = []

    def __str__(self) -> str:
        return f"client {self.number}"

    def ref(self, life: Process) -> LocalAgentRef:
        """The instance it writes to."""
        return life.runtime.ref(self.key.agent, self.key.id)

    def options(self) -> dict[str, Any]:
        """How it sends."""
        key = f"key {self.number}" if self.send.keyed else None
        return {"if_busy": self.send.if_busy, "idempotency_key": key}


class Clients:
    """Everybody who uses the system. ``joins``: inputs may join the turn of another one. ``long``: they are long."""

    def __init__(self, world: Around, *, joins: bool, long: bool) -> None:
        self._world = world
        self._pad = " " + "word" * PAD if long else ""
        self._more = {"pad": self._pad} if long else {}
        self._joins = joins
        self._clients: list[Client] = []
        self._wishes: list[tuple[AgentKey, str | None, str | None]] = []  # what was to be aborted: key, session, id
        self._erased: set[tuple[AgentKey, str]] = set()

    def add(self, send: Send) -> Client:
        """One more client."""
        client = Client(len(self._clients), send)
        self._clients.append(client)
        return client

    def unanswered(self) -> Sequence[Client]:
        """Those who still want to know."""
        return [client for client in self._clients if not client.done]

    def admitted(self, submission: Submission) -> None:
        """An input is on the disk."""
        given = decode_input(submission.payload)
        if isinstance(given, DetachedInput | CompactInput) or (
            isinstance(given, DispatchInput) and "number" not in given.input
        ):
            return  # of the system's own
        number = given.input["number"] if isinstance(given, DispatchInput) else int(given.message.split()[1])
        self._clients[number].admitted.append(submission.id)

    # -- an input ---------------------------------------------------------------------------------------------------

    async def pursue(self, client: Client, life: Process) -> None:
        """Go after the outcome for as long as this process lives."""
        if client.id is None and client.unheard and not client.send.keyed:
            self._world.note(f"{client} gives up: nobody answered")
            client.done = True
        try:
            while not client.done and await self._try(client, life):
                await asyncio.sleep(1.0)
        except Exception as error:
            self._blame(life, f"{client}: {error!r}")

    async def _try(self, client: Client, life: Process) -> bool:
        """One try; true if another one may help in this process."""
        acknowledged = client.id is not None
        try:
            await (self._ask(client, life) if acknowledged else self._send(client, life))
        except InterruptedTurnError:
            self._kept(client, life)
            return False
        except TurnError as error:
            self._told(client, life, error.type)
        except SubmissionNotFoundError:
            self._gone(client, life)
        except (SessionBusyError, QueueFullError, OverloadedError) as error:
            self._refused(client, life, error)
        except (DrainingError, NotStartedError):
            client.unheard -= not acknowledged
            return False
        except StoreError as error:
            self._world.note(f"{client}: {error!r}")
            if client.id is None and not client.send.keyed:
                client.done = True
        return True

    async def _send(self, client: Client, life: Process) -> None:
        ref: LocalSessionRef = client.ref(life).session(client.session)
        client.unheard += 1
        self._world.note(f"{client} sends to {client.key} {client.session}")
        text = f"number {client.number}{self._pad}"
        if client.send.kind == "dispatch":
            receipt = await ref.dispatch({"number": client.number} | self._more, **client.options())
            self._acknowledged(client, life, receipt.submission_id)
            await self._ask(client, life)
        elif client.send.kind == "stream":
            await self._watch(client, life, ref, text)
        else:
            submitted = await ref.submit(text, **client.options())
            self._acknowledged(client, life, submitted.submission_id)
            self._told(client, life, "", (await submitted.result()).text)

    async def _watch(self, client: Client, life: Process, ref: LocalSessionRef, text: str) -> None:
        async for event in ref.stream(text, **client.options()):
            if client.id is None and isinstance(event.submission_id, str):
                self._acknowledged(client, life, event.submission_id)
            if isinstance(event, Operation) and isinstance(event.result, PromptResult):
                self._told(client, life, "", event.result.text)
            if isinstance(event, ErrorEvent) and event.error.type == InterruptedTurnError.type:
                raise InterruptedTurnError
            if isinstance(event, ErrorEvent) and event.error.type.startswith("store"):
                raise StoreError
            if isinstance(event, ErrorEvent):
                self._told(client, life, event.error.type)

    async def _ask(self, client: Client, life: Process) -> None:
        assert client.id is not None
        self._told(client, life, "", (await client.ref(life).wait(client.id)).text)

    def _acknowledged(self, client: Client, life: Process, submission_id: str) -> None:
        if not self._world.runs(life):
            return
        self._world.note(f"{client} is acknowledged: {submission_id}")
        client.unheard = 0
        client.id = submission_id
        self._world.reference.acknowledged(submission_id)
        if submission_id not in client.admitted:
            self._blame(life, f"{client}: {submission_id} is acknowledged and not on disk")

    def _told(self, client: Client, life: Process, failure: str, text: str = "") -> None:
        """It hears the outcome, which has to be on the disk by now."""
        if not self._world.runs(life):
            return
        self._world.note(f"{client} is told {failure or 'completed'}: {text!r}")
        client.done = True
        row = self._world.reference.rows.get(client.id or "")
        if row is None:
            if client.id not in self._world.reference.erased:
                self._blame(life, f"{client} is told the outcome of {client.id}, which does not exist")
        elif (stored := _outcome(row)) != (failure, text):
            self._blame(life, f"{client} is told {failure!r} {text!r} of {row.id}; stored is {stored}")

    def _kept(self, client: Client, life: Process) -> None:
        self._world.note(f"{client} is told to ask again after the stop")
        if not life.stopping:
            self._blame(life, f"{client} is told of a stop that is none")

    def _gone(self, client: Client, life: Process) -> None:
        client.done = True
        if client.id not in self._world.reference.erased:
            self._blame(life, f"{client}: {client.id} is not known any more")

    def _refused(self, client: Client, life: Process, error: FlueError) -> None:
        self._world.note(f"{client} is refused: {error.type}")
        client.done = True
        client.unheard -= 1
        if client.id is not None:
            self._blame(life, f"{client} is refused after it was acknowledged: {error!r}")

    # -- everything else --------------------------------------------------------------------------------------------

    async def abort(self, action: Abort) -> None:
        """Abort something; when that returns, the wish has to be on the disk."""
        life = self._world.process()
        key = KEYS[action.instance]
        ref = life.runtime.ref(key.agent, key.id)
        if action.back is not None:
            if not (client := self._sender(action.back)):
                return
            ref = client.ref(life)
            scope = (client.key, None, client.id)
            work: Coroutine[Any, Any, Any] = ref.abort_submission(client.id or "")
        elif action.session is not None:
            scope = (key, SESSIONS[action.session], None)
            work = ref.session(SESSIONS[action.session]).abort()
        else:
            scope = (key, None, None)
            work = ref.abort()
        self._wishes.append(scope)
        meant = [row for row in self._world.reference.open.values() if _is_in(row, scope) and not row.unsure]
        meant = [row for row in meant if scope[1] in (None, row.session)]  # a session's tasks are not in it
        if not await self._perform(life, work):
            return
        for row in meant:
            if row.status != "settled" and row.abort is None and row.id not in self._world.reference.erased:
                self._blame(life, f"{row.id}: the abort returned, and the wish is not on disk")

    def _sender(self, back: int) -> Client | None:
        known = [client for client in self._clients if client.id is not None]
        return known[-1 - back] if back < len(known) else None

    async def look(self, action: Look) -> None:
        """Read what there is."""
        life = self._world.process()
        key = KEYS[action.instance]
        ref = life.runtime.ref(key.agent, key.id)
        await self._perform(life, ref.status())
        await self._perform(life, ref.history())
        await self._perform(life, ref.sessions())

    async def compact(self, action: Compact) -> None:
        """Ask for a summary, and wait for it as long as this process lives."""
        life = self._world.process()
        key = KEYS[action.instance]
        session = life.runtime.ref(key.agent, key.id).session(SESSIONS[action.session])

        async def compact() -> None:
            with suppress(TurnError, QueueFullError, SessionBusyError):
                await session.compact("All of it.")

        await self._perform(life, compact())

    async def erase(self, action: Erase) -> None:
        """Remove a conversation or all of them."""
        life = self._world.process()
        key = KEYS[action.instance]
        ref = life.runtime.ref(key.agent, key.id)
        sessions = SESSIONS if action.session is None else (SESSIONS[action.session],)
        self._erased.update([(key, session) for session in sessions])
        self._wishes += [(key, session, None) for session in sessions]
        await self._perform(life, ref.erase() if action.session is None else ref.session(sessions[0]).delete())

    async def decide(self, action: Decide) -> None:
        """Decide on one of the calls that wait, if there is one."""
        life = self._world.process()
        key = KEYS[action.instance]
        other: Verdict = "denied" if action.verdict == "approved" else "approved"
        verdicts: list[Verdict] = [action.verdict, other] if action.torn else [action.verdict]
        await asyncio.gather(*[self._decide(life, key, verdict, most=1) for verdict in verdicts])

    async def decide_on_everything(self) -> None:
        """Whoever has to decide comes, and does."""
        life = self._world.process()
        for key in KEYS:
            await self._decide(life, key, "approved" if len(self._clients) % 2 else "denied", most=100)

    async def _decide(self, life: Process, key: AgentKey, verdict: Verdict, *, most: int) -> None:
        ref = life.runtime.ref(key.agent, key.id)

        async def decide() -> None:
            for each in (await ref.approvals())[:most]:
                self._world.note(f"somebody decides: {each.id} is {verdict}")
                await ref.decide(each.id, verdict)
                if self._world.runs(life) and each.submission_id not in self._world.reference.erased:
                    self._world.reference.decisions.acknowledged(each.id, verdict)

        await self._perform(life, decide())

    async def _perform(self, life: Process, work: Coroutine[Any, Any, Any]) -> bool:
        """Do it; true when it was done."""
        try:
            await work
            return True
        except (StoreError, DrainingError, NotStartedError, OverloadedError) as error:
            self._world.note(f"refused: {error!r}")
        except (ApprovalDecidedError, ApprovalNotFoundError, SubmissionNotFoundError, SessionNotFoundError) as error:
            self._world.note(f"gone: {error!r}")
        except Exception as error:
            self._blame(life, f"a client at {work.__qualname__}: {error!r}")
        return False

    # -- the end ----------------------------------------------------------------------------------------------------

    async def all_told(self, *, within: float) -> None:
        """Wait until everybody has an answer, and nothing is left to do."""
        loop = asyncio.get_running_loop()
        end = loop.time() + within
        reference = self._world.reference
        while self.unanswered() or any(not row.unsure for row in reference.open.values()):
            if loop.time() > end:
                break
            await asyncio.sleep(2.0)
            await self._world.urge()

    async def read_everything(self) -> None:
        """A history shows every message that was ever stored, whatever of it was summarised."""
        life = self._world.process()
        for key, session in [(key, session) for key in KEYS for session in SESSIONS]:
            shown = await life.runtime.ref(key.agent, key.id).session(session).history()
            entries = self._world.reference.entries.get((key, session), [])
            stored = [body.message for body in map(read_message, filter(is_message, entries)) if not is_private(body)]
            if [text_of(each.message) for each in shown] != [text_of(each) for each in stored]:
                self._blame(
                    life, f"{key} {session}: its history has {len(shown)} messages, and {len(stored)} are stored"
                )

    def finish(self) -> None:
        """Compare what everybody knows with what is stored."""
        reference = self._world.reference
        for client in self._clients:
            if not client.done:
                reference.blame(f"{client} never hears of {client.id}")
            erased = (client.key, client.session) in self._erased
            most = 1 if client.send.keyed else client.unheard + (client.id is not None)
            if len(client.admitted) > most and not (erased and client.send.keyed):
                reference.blame(f"{client} sent once, and {client.admitted} were accepted")
        for row in reference.rows.values():
            if row.outcome == "failed" and (why := _decode_error(row.error or b"").type) not in EXPECTED:
                reference.blame(f"{row.id} fails with {why}")
            if row.outcome == "aborted" and not self._was_wished(row):
                reference.blame(f"{row.id} is aborted, and nobody wanted that")

    def _was_wished(self, row: Row) -> bool:
        """Somebody wanted it aborted, or one whose turn it may have joined: they end together."""
        policies = {client.send.if_busy for client in self._clients if client.key == row.key}
        place = (row.key, row.session, None)
        party = [each for each in self._world.reference.rows.values() if _is_in(each, place)]
        wished = any(_is_in(each, scope) for scope in self._wishes for each in (party if self._joins else [row]))
        return wished or bool(policies & {"interrupt", "supersede"})

    def _blame(self, life: Process, problem: str) -> None:
        if self._world.runs(life):
            self._world.reference.blame(problem)


def _is_in(row: Row, scope: tuple[AgentKey, str | None, str | None]) -> bool:
    key, session, submission_id = scope
    return row.key == key and (session is None or _is_of(row, session)) and submission_id in (None, row.id)


def _is_of(row: Row, session: str) -> bool:
    """It is in this session, or a task of it."""
    return row.session == session or f"{TASK_PREFIX}{session}:" in row.session


def _outcome(row: Row) -> tuple[str, str] | str:
    """The stored outcome as a client hears it: the type of the error, and the text."""
    if row.status != "settled":
        return f"nothing, {row.status}"
    if row.result is not None:
        return "", _decode_result(row.result).text
    return (_decode_error(row.error).type if row.error is not None else "?"), ""
