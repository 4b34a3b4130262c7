"""Guards: who may reach an agent instance, decided by the application before anything is admitted.

A guard is ``async def guard(request, call_next)`` (a plain ``def`` works too). It refuses with a response or `Denied`, or
lets the request in with ``await call_next()``. A guard that does neither refuses; nothing is open by accident.
"""

import inspect
import logging
from collections.abc import Awaitable, Callable, Mapping
from hmac import compare_digest
from typing import Any, Final
from urllib.parse import parse_qs

import msgspec

from flue_actors.errors import ConfigError, Denied, DeveloperError, FlueError, InternalError

logger = logging.getLogger("flue_actors.guards")


class Principal(msgspec.Struct, frozen=True):
    """Who sent a message. Stored with it; never shown to the model or the wire.

    Attributes:
        subject: The caller's stable id; the only part that appears in logs.
        tenant: Whose quota it counts against.
        claims: Anything else your tools want to know (JSON).

    Raises:
        ConfigError: The subject or the tenant is no text, or the claims are no mapping.
    """

    subject: str
    tenant: str | None = None
    claims: Mapping[str, Any] = {}

    def __post_init__(self) -> None:
        """What is stored has to be readable after a restart: a number from a users table would not be."""
        given: tuple[Any, Any, Any] = (self.subject, self.tenant, self.claims)
        subject, tenant, claims = given
        if not isinstance(subject, str) or not (tenant is None or isinstance(tenant, str)):
            raise ConfigError("A principal's subject and tenant are text.", details="Write Principal(str(user_id)).")
        if not isinstance(claims, Mapping):
            raise ConfigError("A principal's claims are a mapping.", details="Write Principal(name, claims={...}).")


def check_principal(given: Any) -> None:
    """Raises ConfigError where something else was given."""
    if not (given is None or isinstance(given, Principal)):
        raise ConfigError(f'"principal" is a Principal, not {type(given).__name__}.', details="Write Principal(name).")


class GuardResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What a guard answers instead of letting the request in."""

    status: int
    body: bytes = b""
    content_type: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()


class GuardRequest:
    """The request as a guard sees it.

    Attributes:
        method: ``POST``, ``GET``...
        path: The path as requested.
        transport: ``http`` or ``websocket`` (the handshake).
        client: The peer's address, if known. Forwarding headers are not looked at.
        principal: Set it to say who is calling.
        expires_at: Set it (seconds since the epoch) to have the socket closed in time.
    """

    __slots__ = ("_headers", "_params", "_query", "client", "expires_at", "method", "path", "principal", "transport")

    def __init__(
        self,
        *,
        method: str,
        path: str,
        params: Mapping[str, str],
        headers: Mapping[str, str],
        query: str = "",
        transport: str = "http",
        client: str | None = None,
    ) -> None:
        self.method = method
        self.path = path
        self.transport = transport
        self.client = client
        self.principal: Principal | None = None
        self.expires_at: float | None = None
        self._params = params
        self._headers = headers
        self._query = query

    def param(self, name: str) -> str:
        """``name`` or ``id``: which agent and which instance, exactly.

        Raises:
            ConfigError: There is no such parameter.
        """
        try:
            return self._params[name]
        except KeyError:
            raise ConfigError(f'There is no parameter "{name}"; there is: {", ".join(self._params)}.') from None

    def header(self, name: str) -> str | None:
        """A header, whatever its case."""
        return self._headers.get(name.lower())

    def cookie(self, name: str) -> str | None:
        """The first cookie of this name. Malformed ones beside it, of other applications of the host, do not matter."""
        for each in (self.header("cookie") or "").split(";"):
            key, found, value = each.strip().partition("=")
            if found and key == name:
                return value[1:-1] if len(value) > 1 and value[0] == value[-1] == '"' else value
        return None

    def query(self, name: str) -> str | None:
        """The first value of a query parameter."""
        values = parse_qs(self._query, keep_blank_values=True).get(name)
        return values[0] if values else None

    def json(self, body: Any, status: int = 200) -> GuardResponse:
        """Answer with JSON instead of letting the request in."""
        return GuardResponse(status=status, body=msgspec.json.encode(body))

    def not_found(self) -> GuardResponse:
        """Answer as if there were no such instance."""
        error = {"type": "not_found", "message": "There is nothing here.", "details": "Check the address."}
        return self.json({"error": error}, 404)


CallNext = Callable[[], Awaitable[None]]
Guard = Callable[[GuardRequest, CallNext], Any]


async def public(request: GuardRequest, call_next: CallNext) -> None:
    """Let everybody in. It has to be written down, so nobody is public by accident."""
    await call_next()


Verify = Callable[[str], "Principal | str | Awaitable[Principal | str | None] | None"]


def bearer(accepted: str | Mapping[str, Principal | str] | Verify) -> Guard:
    """A guard for ``Authorization: Bearer <token>``.

    Args:
        accepted: One token, tokens with who they belong to (a `Principal` or its subject), or a function (sync or async)
            from a token to that, or to None. Given tokens are compared in constant time.

    Refuses with 401.
    """
    verify = accepted if callable(accepted) else _table({accepted: "bearer"} if isinstance(accepted, str) else accepted)

    async def guard(request: GuardRequest, call_next: CallNext) -> None:
        scheme, _, token = (request.header("authorization") or "").partition(" ")
        who = verify(token.strip()) if scheme.lower() == "bearer" and token.strip() else None
        if inspect.isawaitable(who):
            who = await who
        if who is None:
            raise Denied(401)
        request.principal = Principal(who) if isinstance(who, str) else who
        await call_next()

    return guard


def _table(tokens: Mapping[str, Principal | str]) -> Callable[[str], Principal | str | None]:
    known: Final = [(token.encode(), who) for token, who in tokens.items()]
    if not known or not all(token for token, _ in known):
        raise ConfigError("bearer() needs at least one token, and no empty one.")

    def verify(token: str) -> Principal | str | None:
        given = token.encode("utf-8", "surrogatepass")
        found: Principal | str | None = None
        for each, who in known:  # to the end, so the time tells nothing about which one fits
            if compare_digest(each, given):
                found = who
        return found

    return verify


async def run_guard(guard: Guard, request: GuardRequest, call_next: CallNext) -> GuardResponse | None:
    """Ask ``guard``; returns its response, or None when it let the request in and ``call_next`` is done.

    Raises:
        Denied: It refused, or it neither answered nor called ``call_next``.
        InternalError: It raised something else, answered something that is no response, or called ``call_next`` twice.
        FlueError: What ``call_next`` raised.
    """
    calls = 0

    async def once() -> None:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise InternalError(dev="the guard called call_next twice")
        await call_next()

    try:
        answer = guard(request, once)
        if inspect.isawaitable(answer):
            answer = await answer
    except FlueError as error:
        if not isinstance(error, DeveloperError):
            raise
        logger.exception("the guard of %s is wrong", request.param("name"))
        raise InternalError(dev=error.message) from error
    except Exception as error:
        logger.exception("the guard of %s raised", request.param("name"))
        raise InternalError(dev=repr(error)) from error
    if calls > 1:
        raise InternalError(dev="the guard called call_next twice")
    if isinstance(answer, GuardResponse):
        return answer
    if answer is not None:
        raise InternalError(dev=f"the guard answered a {type(answer).__name__}; use request.json() or Denied")
    if not calls:
        logger.warning("the guard of %s neither answered nor called call_next; refused", request.param("name"))
        raise Denied(403)
    return None
