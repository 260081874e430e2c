"""The page of a session in a browser: a visitor sees it and cannot command."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from socket import gethostname

import numpy as np
import pytest
from matplotlib.image import imread

aiohttp = pytest.importorskip("aiohttp", reason="needs the extra `web`")

from aiohttp.test_utils import TestServer  # noqa: E402

from controller.app.cli import serve as verb  # noqa: E402
from controller.app.cli.main import main  # noqa: E402
from controller.common.exit_codes import ExitCode  # noqa: E402
from controller.model.events import Event, State, StateChanged  # noqa: E402
from controller.service.session_server import SessionService  # noqa: E402
from controller.session.event_log import EventLog  # noqa: E402
from controller.session.folder import SessionFolder  # noqa: E402
from controller.session.folder_lock import FolderLock  # noqa: E402
from controller.ui.web import page_server as web  # noqa: E402
from controller.ui.web.session_reader import SessionReader  # noqa: E402
from tests.support import scripted_session as script  # noqa: E402
from tests.support.recording_engine import RecordingEngine  # noqa: E402
from tests.web.browser import CHROMIUM, open_page  # noqa: E402

DESKTOP_PX, PHONE_PX = (1280, 900), (390, 844)
ENOUGH_S = 60.0


@pytest.fixture
def session(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[SessionService]:
    """A running session in `tmp_path`, paused after five tilts of A, with pictures."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    log = EventLog(tmp_path / "events.jsonl")
    service = SessionService(tmp_path, log.append)
    service.serve(RecordingEngine())
    for event in (script.started(tmp_path), *script.preflight(), *script.series("A", 5)):
        service.publish(event)
    for event in script.write_previews(tmp_path):
        service.publish(event)
    service.publish(StateChanged(state=State.PAUSED, reason="valves closed"))
    yield service
    service.close(ExitCode.OK)
    log.close()


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `dualtilt serve` in a separate process; give its address, without the scheme."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [sys.executable, "-m", "controller.app.cli.main", "serve", str(folder)]
    with subprocess.Popen(
        [*command, "--port", str(port)], stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().strip().endswith(f"http://127.0.0.1:{port}")
            yield f"127.0.0.1:{port}", process
        finally:
            process.terminate()
            process.wait(timeout=ENOUGH_S)


@asynccontextmanager
async def hosting(folder: Path, *names: str) -> AsyncIterator[TestServer]:
    async with TestServer(web.page_app(folder, "127.0.0.1", names)) as server:
        yield server


def more_tilts(upto: int) -> list[Event]:
    """Return the events of A's tilts after the fifth."""
    before = len(list(script.series("A", 5)))
    return list(script.series("A", upto))[before:]


async def content_when(reply: aiohttp.ClientResponse, holds: Callable[[dict], bool]) -> dict:
    """Read the page's changes until one fulfils a condition; return it."""
    async with asyncio.timeout(ENOUGH_S):
        async for line in reply.content:
            if line.startswith(b"data: ") and holds(content := json.loads(line[6:])):
                return content
    raise AssertionError("the changes ended")


def test_the_page_follows_the_session_and_outlives_it(
    session: SessionService, tmp_path: Path
) -> None:
    async def visit() -> tuple[dict, dict]:
        async with hosting(tmp_path) as server, aiohttp.ClientSession() as http:
            async with http.get(server.make_url("/changes")) as reply:
                paused = await content_when(
                    reply, lambda content: "valves closed" in content["doing"]
                )
                for event in more_tilts(9):
                    session.publish(event)
                session.publish(StateChanged(state=State.FINISHED))
                (tmp_path / "report.html").write_text("<!doctype html>the report")
                session.close(ExitCode.OK)
                ended = await content_when(reply, lambda content: "finished" in content["doing"])
            async with http.get(server.make_url("/report")) as reply:
                assert "the report" in await reply.text()
        return paused, ended

    paused, ended = asyncio.run(visit())
    assert "YOUR TURN" in paused["advice"] and "valves closed" in paused["doing"]
    assert "A 5/73" in paused["phases"] and "pA" in paused["numbers"]
    assert "A 9/73" in ended["phases"]


def test_a_session_that_died_is_named(session: SessionService, tmp_path: Path) -> None:
    address = json.loads((tmp_path / "run" / "service.json").read_text())
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    (tmp_path / "run" / "service.json").write_text(json.dumps({**address, "pid": ended.pid}))

    async def visit() -> dict:
        async with (
            hosting(tmp_path) as server,
            aiohttp.ClientSession() as http,
            http.get(server.make_url("/changes")) as reply,
        ):
            return await content_when(reply, lambda content: content["advice"] == "LOST")

    assert f"dualtilt resume {tmp_path}" in asyncio.run(visit())["doing"]


def test_a_session_whose_results_are_being_made_is_not_lost(
    session: SessionService, tmp_path: Path
) -> None:
    (tmp_path / "run" / "service.json").unlink()
    session.flush()
    reader = SessionReader(tmp_path)
    with FolderLock(SessionFolder(tmp_path)):
        reader.update()
        assert reader.status.name and not reader.lost
    reader.update()
    assert "dualtilt resume" in reader.lost


@pytest.mark.parametrize("view", ["frame", "slice-fused"])
def test_pictures_are_those_of_the_session(
    session: SessionService, tmp_path: Path, view: str
) -> None:
    async def visit() -> bytes:
        async with hosting(tmp_path) as server, aiohttp.ClientSession() as http:
            async with http.get(server.make_url("/changes")) as reply:
                await content_when(reply, lambda content: "valves closed" in content["doing"])
            async with http.get(server.make_url(f"/picture/{view}.png")) as reply:
                assert reply.status == 200, await reply.text()
                return await reply.read()

    shown = np.round(255 * imread(io.BytesIO(asyncio.run(visit()))))
    np.testing.assert_array_equal(shown, script.pictures()[view][0][::-1])  # row 0 at the bottom


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        pytest.param("GET", "/picture/none.png", 404, id="no such picture"),
        pytest.param("GET", "/picture/..%2F..%2Fprotocol.toml", 404, id="a path for a picture"),
        pytest.param("GET", "/..%2fevents.jsonl", 404, id="a path out of the pages"),
        pytest.param("GET", "/page.py", 404, id="our code"),
        pytest.param("GET", "/report", 404, id="no report yet"),
        pytest.param("GET", "/%ff%00", 404, id="no text"),
        pytest.param("POST", "/changes", 405, id="a command"),
        pytest.param("GET", "/", 200, id="the page"),
        pytest.param("GET", "/page.js", 200, id="its script"),
    ],
)
def test_wrong_requests_get_one_line(
    session: SessionService, tmp_path: Path, method: str, path: str, status: int
) -> None:
    async def ask() -> tuple[int, str]:
        from yarl import URL

        async with hosting(tmp_path) as server, aiohttp.ClientSession() as http:
            url = URL(f"http://{server.host}:{server.port}{path}", encoded=True)
            async with http.request(method, url) as reply:
                return reply.status, await reply.text()

    found, text = asyncio.run(ask())
    assert found == status
    assert status == 200 or ("Traceback" not in text and text.count("\n") == 0)


def test_interrupted_it_disconnects_the_visitors(session: SessionService, tmp_path: Path) -> None:
    async def visit(address: str, process: subprocess.Popen[str]) -> None:
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"http://{address}/changes") as reply,
        ):
            await content_when(reply, lambda content: True)
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(ENOUGH_S):
                with pytest.raises(aiohttp.ClientError):
                    async for _ in reply.content:
                        pass
                    raise aiohttp.ClientError("closed in order")

    with serving(tmp_path) as (address, process):
        asyncio.run(visit(address, process))
        assert process.wait(timeout=ENOUGH_S) == ExitCode.OK


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
@pytest.mark.parametrize(
    "size_px",
    [pytest.param(DESKTOP_PX, id="desktop"), pytest.param(PHONE_PX, id="phone")],
)
def test_the_page_in_a_browser(
    session: SessionService, tmp_path: Path, size_px: tuple[int, int]
) -> None:
    async def visit(address: str) -> tuple[bytes, dict[str, float]]:
        async with open_page(f"http://{address}/", tmp_path / "profile", size_px) as page:
            await page.call(
                "Emulation.setDeviceMetricsOverride",
                width=size_px[0],
                height=size_px[1],
                deviceScaleFactor=1,
                mobile=size_px is PHONE_PX,
            )
            await page.until("document.getElementById('picture').naturalWidth > 0")
            screen = await page.screenshot()
            for event in more_tilts(7):
                session.publish(event)
            await page.until("document.body.innerText.includes('A 7/73')")  # without a reload
            measured = await page.evaluate(MEASURE)
            return screen, json.loads(measured)

    with serving(tmp_path) as (address, _):
        screen, measured = asyncio.run(visit(address))
    (tmp_path / "screen.png").write_bytes(screen)  # for inspection
    height, width = script.pictures()["frame"][0].shape
    assert measured["aspect"] == pytest.approx(width / height, rel=0.01)
    assert measured["overflow"] <= 0, "nothing is wider than the window"
    assert measured["cut"] <= 0, "a long line of the numbers is wrapped, not cut off"
    assert "YOUR TURN" in measured["text"] and "particles vs tilts used" in measured["text"]


MEASURE = """(() => {
  const picture = document.getElementById('picture'), box = picture.getBoundingClientRect();
  return JSON.stringify({
    aspect: box.width / box.height,
    overflow: document.documentElement.scrollWidth - window.innerWidth,
    text: document.body.innerText
      + [...document.querySelectorAll('svg text')].map((t) => t.textContent).join(' '),
    cut: (() => {
      const numbers = document.getElementById('numbers');
      numbers.textContent = '✓ stage at zero alpha -0.02 degrees, x +12, y -104, z +2360 nm';
      return numbers.scrollWidth - numbers.clientWidth;
    })(),
  });
})()"""


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


@pytest.mark.parametrize(
    ("host", "where", "warns"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", False),
        ("localhost", "http://localhost:8000", False),
        ("::1", "http://[::1]:8000", False),
        ("0.0.0.0", f"http://{gethostname()}:8000", True),
        ("::", f"http://{gethostname()}:8000", True),
        ("10.0.0.7", "http://10.0.0.7:8000", True),
    ],
)
def test_it_warns_if_other_machines_can_connect(host: str, where: str, warns: bool) -> None:
    lines = web.greeting(host, 8000)
    assert where in lines[0]
    assert any(line.startswith(f"WARNING: listening on {host}") for line in lines) == warns
    assert any("ssh -L" in line for line in lines) == warns


def test_the_policy_allows_the_icon_of_the_page() -> None:
    page = (Path(web.__file__).parent / "page.html").read_text()
    assert '<link rel="icon" href="data:' in page
    rules = [rule.split() for rule in web.SECURITY["Content-Security-Policy"].split(";")]
    assert ["img-src", "'self'", "data:"] in rules


def test_errors_of_serve(
    session: SessionService,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(tmp_path), "--port", port]) == ExitCode.USAGE
    assert main(["serve", str(empty)]) == ExitCode.USAGE
    monkeypatch.setattr(verb, "find_spec", lambda name: None)
    assert main(["serve", str(tmp_path)]) == ExitCode.USAGE
    errors = capsys.readouterr().err.splitlines()
    assert len(errors) == 3
    for wanted, line in zip((f"port {port}", "holds no session", "[web]"), errors, strict=True):
        assert wanted in line


def test_a_port_in_use_is_named_once(
    session: SessionService, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        assert main(["serve", str(tmp_path), "--port", port]) == ExitCode.USAGE
    told = capsys.readouterr().err
    assert f"cannot listen on 127.0.0.1, port {port}: Address already in use" in told
    assert told.count(port) == 1
