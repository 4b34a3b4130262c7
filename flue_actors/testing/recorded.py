"""`RecordedModel`: a real model once, and what it answered from then on."""

import os
from collections import defaultdict
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path
from typing import Final, Literal

import msgspec

from flue_actors.errors import ConfigError, ModelError
from flue_actors.messages import AssistantMessage
from flue_actors.models.protocol import ModelClient, ModelEvent, ModelRequest, ReplyDone
from flue_actors.models.registry import ModelRegistry
from flue_actors.testing.cassette import Exchange, Scrub, asked, differences, exchange, hide_credentials, key_of
from flue_actors.testing.complaints import complaint

Mode = Literal["record", "replay"]

RECORD: Final = "FLUE_RECORD"
"""``1`` in the environment: a `RecordedModel` that was not told its mode records."""

_SHOWN_DIFFERENCES: Final = 5


class RecordedModel:
    """A `ModelClient` that answers from a file, or asks a real model and writes that file.

    A request finds its answer by what it asks, not by its place; one that was recorded several times gets the answers
    in their order, and then the last one again. An answer that failed is not recorded.

    Attributes:
        requests: Every request, in order.

    Args:
        path: The file: JSON lines, to be kept with the tests. Recording begins it anew at the first request.
        mode: None = ``record`` when the environment has ``FLUE_RECORD=1``, else ``replay``.
        model: Whom to record: a name (``"anthropic/claude-haiku-4-5"``, with the provider's own environment variables)
            or a client. A name is also what requests are filed under: give it when replaying too.
        scrub: Takes out of every text what shall not be written, or differs from run to run; keys and bearer tokens
            are taken out in any case.

    Raises:
        ConfigError: To be recorded, but whom? Or the file is not a recording.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        mode: Mode | None = None,
        model: str | ModelClient | None = None,
        scrub: Scrub | None = None,
    ) -> None:
        self.requests: list[ModelRequest] = []
        self.mode: Mode = mode or ("record" if recording() else "replay")
        self._path = Path(path)
        self._model = model
        self._scrub = scrub
        self._written = False
        self._taken: defaultdict[str, int] = defaultdict(int)
        self._exchanges: list[Exchange] = []
        if self.mode == "replay":
            self._exchanges = _read(self._path)
        elif model is None:
            raise ConfigError(f"Nobody to record {self._path.name} from: give RecordedModel a model.")

    @property
    def api(self) -> str:
        """The recorded model's."""
        if self.mode == "replay":
            return self._exchanges[0].api if self._exchanges else "recorded"
        if isinstance(self._model, str):
            return ModelRegistry().resolve(self._model).client.api
        return "recorded" if self._model is None else self._model.api

    async def stream(self, request: ModelRequest) -> AsyncGenerator[ModelEvent]:
        """Answer as recorded, or record.

        Raises:
            ModelError: Nothing like it was recorded; or, while recording, what the model raised.
        """
        self.requests.append(request)
        shown = asked(request, self._name(request), self._clean)
        if self.mode == "replay":
            for event in self._found(shown).events():
                yield event
            return
        events: list[ModelEvent] = []
        registry = ModelRegistry()
        try:
            async with aclosing(self._asking(registry, request)) as stream:
                async for event in stream:
                    events.append(event)
                    if isinstance(event, ReplyDone):
                        self._write(exchange(shown, self.api, events, self._clean))
                    yield event
        finally:
            await registry.aclose()

    async def aclose(self) -> None:
        """Nothing to close: a recording opens and closes the model for each request."""

    def _asking(self, registry: ModelRegistry, request: ModelRequest) -> AsyncGenerator[ModelEvent, None]:
        if not isinstance(self._model, str):
            assert self._model is not None
            return self._model.stream(request)
        resolved = registry.resolve(self._model)
        return resolved.client.stream(_addressed(request, resolved.provider, resolved.model))

    def _name(self, request: ModelRequest) -> str:
        return self._model.partition("/")[2] if isinstance(self._model, str) else request.model

    def _clean(self, text: str) -> str:
        text = hide_credentials(text)
        return text if self._scrub is None else self._scrub(text)

    def _found(self, shown: dict[str, object]) -> Exchange:
        key = key_of(shown)
        found = [each for each in self._exchanges if each.key == key]
        if not found:
            raise complaint(ModelError(self._unknown(shown)))
        place = min(self._taken[key], len(found) - 1)
        self._taken[key] += 1
        return found[place]

    def _unknown(self, shown: dict[str, object]) -> str:
        said = f"{self._path.name} has no answer to request {len(self.requests)}."
        again = f"Record it anew with {RECORD}=1."
        if not self._exchanges:
            return f"{said} Nothing is recorded there. {again}"
        nearest, differing = min(
            ((number, differences(each.request, shown)) for number, each in enumerate(self._exchanges, 1)),
            key=lambda pair: len(pair[1]),
        )
        more = len(differing) - _SHOWN_DIFFERENCES
        lines = [*differing[:_SHOWN_DIFFERENCES], *([f"... and {more} more"] if more > 0 else [])]
        return "\n  ".join([f"{said} {again} The nearest recorded one, line {nearest}, differs:", *lines])

    def _write(self, line: Exchange) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        with self._path.open("ab" if self._written else "wb") as file:
            file.write(msgspec.json.encode(line) + b"\n")
        self._written = True


def recording() -> bool:
    """True while the environment asks for recordings."""
    return os.environ.get(RECORD, "0").lower() in {"1", "true", "yes", "on"}


def _read(path: Path) -> list[Exchange]:
    if not path.is_file():
        return []
    try:
        return [msgspec.json.decode(line, type=Exchange) for line in path.read_bytes().splitlines() if line]
    except msgspec.DecodeError as error:
        raise ConfigError(f"{path} is not a recording: {error}.") from error


def _addressed(request: ModelRequest, provider: str, model: str) -> ModelRequest:
    """The request as that model gets it: what this stand-in said before, it said itself."""
    messages = tuple(
        [
            msgspec.structs.replace(each, provider=provider, model=model)
            if isinstance(each, AssistantMessage) and each.model == request.model
            else each
            for each in request.messages
        ]
    )
    return msgspec.structs.replace(request, model=model, messages=messages)
