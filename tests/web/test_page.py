"""The page of a session in a browser: a visitor sees it and cannot command."""

from __future__ import annotations

import asyncio
import io
import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from matplotlib.image import imread

aiohttp = pytest.importorskip("aiohttp", reason="needs the extra `web`")


from controller.common.exit_codes import ExitCode  # noqa: E402
from controller.model.events import Event, State, StateChanged  # noqa: E402
from controller.service.session_server import SessionService  # noqa: E402
from controller.session.folder_lock import FolderLock  # noqa: E402
from controller.ui.web import page_server as web  # noqa: E402
from controller.ui.web.session_reader import SessionReader  # noqa: E402
from tests.support import scripted_session as script  # noqa: E402
from tests.web.browser import CHROMIUM, DESKTOP_PX, PHONE_PX, open_page  # noqa: E402
from tests.web.hosted_page import ENOUGH_S, hosting  # noqa: E402


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


@pytest.mark.parametrize("of", ["nobody", "another process"])
def test_a_session_that_died_is_named_whoever_has_its_process_id_now(
    of: str, session: SessionService, lock: FolderLock, tmp_path: Path
) -> None:
    lock.release()  # the system does so when its holder dies
    if of == "nobody":
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

    content = asyncio.run(visit())
    assert f"dualtilt resume {tmp_path}" in content["doing"]
    assert "beam not known" in content["numbers"]


def test_a_session_whose_results_are_being_made_is_not_lost(
    session: SessionService, lock: FolderLock, tmp_path: Path
) -> None:
    (tmp_path / "run" / "service.json").unlink()
    session.flush()
    reader = SessionReader(tmp_path)
    reader.update()
    assert reader.status.name and not reader.lost
    lock.release()
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


def test_the_policy_allows_the_icon_of_the_page() -> None:
    page = (Path(web.__file__).parent / "page.html").read_text()
    assert '<link rel="icon" href="data:' in page
    rules = [rule.split() for rule in web.SECURITY["Content-Security-Policy"].split(";")]
    assert ["img-src", "'self'", "data:"] in rules
