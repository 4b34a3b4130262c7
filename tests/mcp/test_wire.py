"""HTTP to checked addresses."""

import asyncio
import contextlib
import json
import shutil
import ssl
import subprocess

import httpx2
import pytest
from mcp_types import CONNECTION_CLOSED

from flue_actors.errors import ConfigError, UnavailableError
from flue_actors.mcp import wire
from flue_actors.mcp.server import connect_mcp_server
from flue_actors.mcp.wire import NOT_DELIVERED, Wire, http_client

PUBLIC, OTHER = "93.184.216.34", "93.184.216.35"


class Names:
    """A name server that answers differently each time it is asked."""

    def __init__(self, *answers) -> None:
        self.answers = list(answers)

    async def resolve(self, host, port):
        return self.answers.pop(0)


def wired(inner, *answers, allow_private=False):
    transport = Wire(httpx2.MockTransport(inner), allow_private=allow_private, resolve=Names(*answers).resolve)
    return httpx2.AsyncClient(transport=transport)


def ok(request):
    return httpx2.Response(200, text=request.url.host)


@contextlib.asynccontextmanager
async def listening(answer, tls=None):
    """A server of raw bytes on loopback: ``answer(request head) -> bytes or None``, where None hangs."""
    seen = []

    async def serve(reader, writer):
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            seen.append(head)
            reply = answer(head)
            if reply is None:
                await reader.read(-1)
            else:
                writer.write(reply)
                await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=tls)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


async def test_requests_go_to_the_checked_address_under_the_name_of_the_host():
    asked = []

    def inner(request):
        asked.append(request)
        return ok(request)

    async with wired(inner, [PUBLIC]) as client:
        response = await client.get("https://mcp.example/x?y=1")
    assert asked[0].url == f"https://{PUBLIC}/x?y=1"
    assert asked[0].headers["host"] == "mcp.example"
    assert asked[0].extensions["sni_hostname"] == "mcp.example"
    assert response.request.url == "https://mcp.example/x?y=1"


async def test_ipv6_addresses_are_used_as_they_are():
    async with wired(ok, ["2606:4700::1111"]) as client:
        assert (await client.get("http://mcp.example:81/")).text == "2606:4700::1111"


@pytest.mark.parametrize("answer", [["127.0.0.1"], ["10.0.0.1"], [PUBLIC, "169.254.169.254"], ["::1"]])
async def test_a_host_that_is_also_at_a_private_address_is_refused(answer):
    async with wired(ok, answer) as client:
        with pytest.raises(ConfigError, match="not a public one"):
            await client.get("http://mcp.example/")


async def test_a_host_is_looked_up_once_so_a_second_answer_leads_nowhere():
    async with wired(ok, [PUBLIC], ["127.0.0.1"]) as client:
        hosts = [(await client.get("http://mcp.example/")).text for _ in range(3)]
    assert hosts == [PUBLIC] * 3


async def test_an_address_that_cannot_be_reached_is_given_up_for_the_next():
    def inner(request):
        if request.url.host == PUBLIC:
            raise httpx2.ConnectError("unreachable")
        return ok(request)

    async with wired(inner, [PUBLIC, OTHER]) as client:
        assert [(await client.post("http://mcp.example/")).text for _ in range(2)] == [OTHER] * 2


@pytest.mark.parametrize(
    ("error", "code"),
    [(httpx2.ConnectError("no"), NOT_DELIVERED), (httpx2.ReadError("cut"), -32000), (httpx2.WriteError("cut"), -32000)],
)
async def test_a_post_that_fails_says_whether_it_was_delivered(error, code):
    def inner(request):
        raise error

    async with wired(inner, [PUBLIC]) as client:
        response = await client.post("http://mcp.example/", json={})
    assert json.loads(response.content)["error"]["code"] == code


@pytest.mark.parametrize("status", [400, 404])
async def test_a_session_that_the_server_does_not_know_counts_as_not_delivered(status):
    async with wired(lambda _: httpx2.Response(status), [PUBLIC]) as client:
        known = await client.post("http://mcp.example/", headers={"mcp-session-id": "1"})
        none = await client.post("http://mcp.example/")
    assert json.loads(known.content)["error"]["code"] == NOT_DELIVERED
    assert none.status_code == status


async def test_a_name_that_does_not_exist_is_a_connection_that_fails():
    async def resolve(host, port):
        raise OSError("unknown name")

    client = http_client({}, timeout=1, allow_private=False, resolve=resolve)
    async with client:
        with pytest.raises(httpx2.ConnectError):
            await client.get("http://mcp.example/")


@pytest.mark.parametrize("transport", ["streamable-http", "sse"])
@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "0.0.0.0", "[::1]", "2130706433", "[::ffff:127.0.0.1]"])
async def test_no_byte_reaches_a_private_address(host, transport):
    async with listening(lambda _: b"") as (port, seen):
        with pytest.raises(ConfigError, match="not a public one"):
            await connect_mcp_server("x", url=f"http://{host}:{port}/", transport=transport)
        assert seen == []


@pytest.mark.parametrize("transport", ["streamable-http", "sse"])
@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_redirects_to_other_places_are_not_followed(status, transport):
    async with listening(lambda _: b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n") as (private, asked):
        there = f"HTTP/1.1 {status} There\r\nlocation: http://127.0.0.1:{private}/\r\ncontent-length: 0\r\n\r\n"
        async with listening(lambda _: there.encode()) as (port, seen):
            url = f"http://127.0.0.1:{port}/"
            with pytest.raises(UnavailableError):
                await connect_mcp_server("x", url=url, transport=transport, allow_private=True)
        assert seen
        assert asked == []


@pytest.mark.parametrize("transport", ["streamable-http", "sse"])
async def test_a_server_that_never_answers_is_given_up(transport):
    async with listening(lambda _: None) as (port, _):
        server = connect_mcp_server(
            "x", url=f"http://127.0.0.1:{port}/", transport=transport, allow_private=True, timeout=0.2
        )
        with pytest.raises(UnavailableError, match='The MCP server "x" cannot be reached'):
            await server


async def test_headers_go_along_and_the_environments_proxy_does_not(monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    async with listening(lambda _: b"HTTP/1.1 500 No\r\ncontent-length: 0\r\n\r\n") as (port, seen):
        url = f"http://127.0.0.1:{port}/"
        with pytest.raises(UnavailableError):
            await connect_mcp_server("x", url=url, headers={"X-Key": "k"}, allow_private=True)
    assert "x-key: k" in seen[0].lower()


async def test_a_client_that_follows_redirects_is_not_led_to_another_host():
    def inner(request):
        return httpx2.Response(302, headers={"location": "http://inside.example/"})

    async with wired(inner, [PUBLIC], ["10.0.0.1"]) as client:
        with pytest.raises(httpx2.ConnectError, match=r"is not mcp\.example"):
            await client.get("http://mcp.example/", follow_redirects=True)


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificate")
async def test_certificates_are_checked_against_the_name_of_the_host(tmp_path, monkeypatch):
    key, certificate = str(tmp_path / "key.pem"), str(tmp_path / "certificate.pem")
    made = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"]
    made += [
        "-keyout",
        key,
        "-out",
        certificate,
        "-subj",
        "/CN=mcp.example",
        "-addext",
        "subjectAltName=DNS:mcp.example",
    ]
    subprocess.run(made, check=True, capture_output=True)
    monkeypatch.setenv("SSL_CERT_FILE", certificate)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(certificate, key)
    nothing = b"HTTP/1.1 204 Nothing\r\n\r\n"
    async with listening(lambda _: nothing, tls=server) as (port, _):
        for host, trusted in (("mcp.example", True), ("other.example", False)):
            names = Names(["127.0.0.1"])
            async with http_client({}, timeout=5, allow_private=True, resolve=names.resolve) as client:
                refused = pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED")
                with contextlib.nullcontext() if trusted else refused:
                    assert (await client.get(f"https://{host}:{port}/")).status_code == 204


def endless(kind, **headers):
    async def body():
        while True:
            yield b" " * 65_536

    return lambda _request: httpx2.Response(200, headers={"content-type": kind, **headers}, content=body())


async def test_an_answer_without_end_is_not_read_to_its_end(monkeypatch):
    monkeypatch.setattr(wire, "LARGEST", 1 << 20)
    async with wired(endless("application/json"), [PUBLIC]) as client:
        with pytest.raises(httpx2.StreamError, match="larger than 1 MiB"):
            await client.post("http://mcp.example/")


async def test_a_stream_of_events_may_go_on(monkeypatch):
    monkeypatch.setattr(wire, "LARGEST", 1 << 20)
    async with (
        wired(endless("text/event-stream; charset=utf-8"), [PUBLIC]) as client,
        client.stream("GET", "http://mcp.example/") as response,
    ):
        seen = 0
        async for piece in response.aiter_bytes():
            seen += len(piece)
            if seen > 2 << 20:
                break


async def test_a_compressed_answer_is_neither_asked_for_nor_read():
    def answer(_head):
        return b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-encoding: gzip\r\ncontent-length: 2\r\n\r\n\x1f\x8b"

    async with listening(answer) as (port, seen), http_client({}, timeout=5, allow_private=True) as client:
        with pytest.raises(httpx2.RemoteProtocolError, match="compressed"):
            await client.get(f"http://127.0.0.1:{port}/")
        assert "accept-encoding: identity" in seen[0].lower()
        failed = (await client.post(f"http://127.0.0.1:{port}/")).json()
        assert failed["error"]["code"] == CONNECTION_CLOSED
