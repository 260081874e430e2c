"""Visitors of the page: other names, origins and malformed requests are refused."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

aiohttp = pytest.importorskip("aiohttp", reason="needs the extra `web`")


from controller.ui.web import page_server as web  # noqa: E402
from tests.web.hosted_page import hosting  # noqa: E402


def ask_as(
    folder: Path, path: str = "/changes", names: tuple[str, ...] = (), **headers: str
) -> int:
    """Return the HTTP status of a request with `headers`; {here} stands for the server."""

    async def ask() -> int:
        async with hosting(folder, *names) as server, aiohttp.ClientSession() as http:
            here = f"{server.host}:{server.port}"
            sent = {name: value.format(here=here) for name, value in headers.items()}
            async with http.get(server.make_url(path), headers=sent) as reply:
                return reply.status

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("headers", "most", "status"),
    [
        pytest.param({"Origin": "https://elsewhere.example"}, 8, 403, id="another server's page"),
        pytest.param({"Origin": "null"}, 8, 403, id="a page without an address"),
        pytest.param({"Origin": "http://["}, 8, 403, id="an origin that is no address"),
        pytest.param(
            {"Origin": "http://localhost:1", "Host": "localhost:2"}, 8, 403, id="another port"
        ),
        pytest.param(
            {"Origin": "http://evil.example", "Host": "evil.example"}, 8, 403, id="DNS rebinding"
        ),
        pytest.param({"Origin": "http://{here}"}, 0, 503, id="one visitor too many"),
    ],
)
def test_refused_visitors(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, headers: dict[str, str], most: int, status: int
) -> None:
    monkeypatch.setattr(web, "MAX_VISITORS", most)
    assert ask_as(tmp_path, **headers) == status


@pytest.mark.parametrize("path", ["/", "/changes", "/page.js", "/picture/frame.png", "/report"])
def test_no_page_is_shown_under_a_rebound_name(tmp_path: Path, path: str) -> None:
    assert ask_as(tmp_path, path, Host="evil.example:8000") == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("localhost.evil.example", 403, id="a name that begins like ours"),
        pytest.param("evil.example@localhost", 403, id="a name before ours"),
        pytest.param("127.0.0.1.evil.example:80", 403, id="a name that looks like our address"),
        pytest.param("169.254.169.254", 403, id="another address"),
        pytest.param("[not-an-address", 403, id="no name"),
        pytest.param("", 403, id="an empty name"),
        pytest.param("localhost:9999", 200, id="a tunnel"),
        pytest.param("LOCALHOST.", 200, id="spelt otherwise"),
        pytest.param("[::1]:8000", 200, id="IPv6"),
        pytest.param("{here}", 200, id="our address"),
        pytest.param("proxy.example", 200, id="a name that we were given"),
    ],
)
def test_only_requests_that_name_this_server_are_answered(
    tmp_path: Path, host: str, status: int
) -> None:
    assert ask_as(tmp_path, "/", ("Proxy.example",), Host=host) == status


MALFORMED = {
    "Host twice": (b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n", 400),
    "no Host": (b"GET / HTTP/1.1\r\n", 400),
    "a Host of other bytes": (b"GET / HTTP/1.1\r\nHost: \xff\xfe\r\n", 403),
    "Origin twice": (
        b"GET / HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nOrigin: http://e\r\n",
        403,
    ),
    "no HTTP": (b"\x16\x03\x01\x02\x00\x01\r\n", 400),
    "a header of 20 kB": (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + bytes(20_000), 400),
}


def test_malformed_requests_are_refused_and_print_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def ask() -> dict[str, int]:
        found = {}
        async with hosting(tmp_path) as server:
            for name, (content, _) in MALFORMED.items():
                reader, writer = await asyncio.open_connection(server.host, server.port)
                writer.write(content + b"\r\n")
                found[name] = int((await reader.readline()).split()[1])
                writer.close()
        return found

    assert asyncio.run(ask()) == {name: status for name, (_, status) in MALFORMED.items()}
    assert caplog.records == []
