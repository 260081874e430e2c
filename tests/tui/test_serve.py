"""The screen in a browser: a visitor sees it and cannot command."""

from __future__ import annotations

import asyncio
import io
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

aiohttp = pytest.importorskip("aiohttp", reason="needs the extra `web`")
pytest.importorskip("textual_serve", reason="needs the extra `web`")

from aiohttp.test_utils import TestServer  # noqa: E402

from controller.app.cli import serve as verb  # noqa: E402
from controller.app.cli.main import main  # noqa: E402
from controller.common.exit_codes import ExitCode  # noqa: E402
from controller.model.events import State, StateChanged  # noqa: E402
from controller.service.session_server import SessionService  # noqa: E402
from controller.ui.tui.web import screen_server as web  # noqa: E402
from tests.support import scripted_session as script  # noqa: E402
from tests.support.recording_engine import RecordingEngine  # noqa: E402
from tests.tui.browser import CHROMIUM, open_page  # noqa: E402

SIZE_PX = 1280, 900


@pytest.fixture
def session(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[RecordingEngine]:
    """A session in `tmp_path`, paused after five tilts of A, with pictures."""
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path_factory.mktemp("r")))
    service = SessionService(tmp_path, lambda record: None)
    engine = RecordingEngine()
    service.serve(engine)
    for event in (script.started(tmp_path), *script.preflight(), *script.series("A", 5)):
        service.publish(event)
    for event in script.write_previews(tmp_path):
        service.publish(event)
    service.publish(StateChanged(state=State.PAUSED, reason="valves closed"))
    yield engine
    service.close(ExitCode.OK)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def serving(folder: Path) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """Run `dualtilt serve` in a separate process; give its address, without the scheme."""
    port = free_port()
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
            process.wait(timeout=60)


@asynccontextmanager
async def visiting(address: str) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession() as http,
        http.ws_connect(
            f"ws://{address}/ws?width=100&height=30", origin=f"http://{address}"
        ) as screen,
    ):
        yield screen


async def read_until(screen: aiohttp.ClientWebSocketResponse, *texts: str) -> None:
    """Read the terminal's data until it has contained all texts."""
    seen = b""
    async with asyncio.timeout(60):
        while not all(text.encode() in seen for text in texts):
            message = await screen.receive()
            assert message.type == aiohttp.WSMsgType.BINARY, f"the screen closed: {message}"
            seen += message.data


def test_a_visitor_sees_the_screen_and_cannot_command(
    session: RecordingEngine, tmp_path: Path
) -> None:
    async def visit(address: str) -> None:
        async with visiting(address) as screen:
            await read_until(screen, "read-only", "[ A 5/73 ]", "YOUR TURN", "Detach")
            for key in (" ", "x", "a", "\r", "l"):
                await screen.send_json(["stdin", key])
            await read_until(screen, "event log")

    with serving(tmp_path) as (address, _):
        asyncio.run(visit(address))
    assert session.commands == []


def test_interrupted_it_disconnects_the_visitors(session: RecordingEngine, tmp_path: Path) -> None:
    async def visit(address: str, process: subprocess.Popen[str]) -> None:
        async with visiting(address) as screen:
            await read_until(screen, "[ A 5/73 ]")
            process.send_signal(signal.SIGINT)
            async with asyncio.timeout(60):
                while (await screen.receive()).type == aiohttp.WSMsgType.BINARY:
                    pass

    with serving(tmp_path) as (address, process):
        asyncio.run(visit(address, process))
        assert process.wait(timeout=60) == ExitCode.OK


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_the_page_in_a_browser(session: RecordingEngine, tmp_path: Path) -> None:
    async def visit(address: str) -> tuple[bytes, bytes, str]:
        url = f"http://{address}/?fontsize=14"
        async with open_page(url, tmp_path / "profile", SIZE_PX) as page:
            await page.until("document.body.classList.contains('-first-byte')")
            await asyncio.sleep(1.5)  # a canvas: its content cannot be queried
            screen = await page.screenshot()
            await page.press("l")
            await asyncio.sleep(1.0)
            log = await page.screenshot()
            await page.press("q")
            await page.until("document.body.classList.contains('-closed')")
            return screen, log, await page.evaluate("document.querySelector('.left').innerText")

    with serving(tmp_path) as (address, _):
        screen, log, farewell = asyncio.run(visit(address))
    (tmp_path / "screen.png").write_bytes(screen)  # for inspection
    pixels, with_log = (np.round(255 * imread(io.BytesIO(png))) for png in (screen, log))
    left, right = np.array_split(pixels[40:-100, :, :3], 2, axis=1)
    assert _greys(left) > 16 and _greys(left) > 2 * _greys(right), "the image is on the left"
    assert np.mean(np.any(pixels != with_log, axis=2)) > 0.2, "l opens the log"
    assert "the session continues" in farewell


def _greys(pixels: np.ndarray) -> int:
    """Return the number of shades that fill a cell or more."""
    red, green, blue = pixels.reshape(-1, 3).T
    shades, n = np.unique(red[(red == green) & (green == blue)], return_counts=True)
    return int(np.count_nonzero(n[shades > 0] > 100))


def ask_as(folder: Path, path: str = "/ws", names: tuple[str, ...] = (), **headers: str) -> int:
    """Return the HTTP status of a request with `headers`; {here} stands for the server."""

    async def ask() -> int:
        app = await web.ScreenServer(folder, "127.0.0.1", 0, names)._make_app()
        app.on_startup.clear()
        async with TestServer(app) as server, aiohttp.ClientSession() as http:
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


@pytest.mark.parametrize("path", ["/", "/ws", "/static/js/textual.js", "/download/x"])
def test_no_page_is_shown_under_a_rebound_name(tmp_path: Path, path: str) -> None:
    assert ask_as(tmp_path, path, Host="evil.example:8000") == 403


@pytest.mark.parametrize(
    ("host", "status"),
    [
        pytest.param("localhost.evil.example", 403, id="a name that begins like ours"),
        pytest.param("127.0.0.1.evil.example:80", 403, id="a name that looks like our address"),
        pytest.param("169.254.169.254", 403, id="another address"),
        pytest.param("", 403, id="no name"),
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


@pytest.mark.parametrize(
    ("host", "where", "warns"),
    [
        ("127.0.0.1", "http://127.0.0.1:8000", False),
        ("localhost", "http://localhost:8000", False),
        ("::1", "http://[::1]:8000", False),
        ("0.0.0.0", "http://this machine:8000", True),
        ("10.0.0.7", "http://this machine:8000", True),
    ],
)
def test_it_warns_if_other_machines_can_connect(host: str, where: str, warns: bool) -> None:
    lines = web.greeting(host, 8000)
    assert where in lines[0]
    assert any(line.startswith(f"WARNING: listening on {host}") for line in lines) == warns
    assert any("ssh -L" in line for line in lines) == warns


def test_errors_of_serve(
    session: RecordingEngine,
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
