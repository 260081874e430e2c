"""Page of `dualtilt inspect --browser`: only who has its address sees and processes."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

aiohttp = pytest.importorskip("aiohttp", reason="needs the extra `web`")

from aiohttp.test_utils import TestServer  # noqa: E402
from yarl import URL  # noqa: E402

from controller.app.cli.inspect_browser import files_source, folder_source  # noqa: E402
from controller.app.cli.inspected_page import InspectedSource  # noqa: E402
from controller.app.cli.main import main  # noqa: E402
from controller.common.exit_codes import ExitCode  # noqa: E402
from controller.ui.web.inspect_server import inspect_app  # noqa: E402
from tests.support.finished_session import make_finished  # noqa: E402
from tests.support.inspected_session import keep_series, make_inspected  # noqa: E402
from tests.web.browser import CHROMIUM, open_page  # noqa: E402
from tests.web.hosted_page import ENOUGH_S  # noqa: E402

TOKEN = "secret-of-this-run"
ORIGIN = {"Origin": "http://{here}"}
PNG = b"\x89PNG"


@pytest.fixture
def session(tmp_path: Path) -> Path:
    folder = make_inspected(tmp_path / "session")
    keep_series(folder)
    return folder


def inspected(folder: Path, *files: Path) -> InspectedSource:
    given = argparse.Namespace(
        files=list(files), angles=None, pixel_nm=None, tilt_axis_deg=None, tilt_sense=-1
    )
    return InspectedSource(files_source(given) if files else folder_source(folder, given))


class ScriptedSource(InspectedSource):
    """Source whose processing makes results at once, or waits for ever."""

    waits = False

    def command(self, drops: Sequence[str]) -> list[str]:
        super().command(drops)
        session = self._source.folder
        made = "import time; print('counted', flush=True); time.sleep(3600)"
        if not self.waits:
            made = (
                "from pathlib import Path; from tests.support.finished_session import "
                f"make_finished; make_finished(Path({str(session / 'processed-2')!r})); "
                "print('counted')"
            )
        return [sys.executable, "-c", made]


@asynccontextmanager
async def hosting(source: InspectedSource) -> AsyncIterator[TestServer]:
    async with TestServer(inspect_app(source, TOKEN)) as server:
        yield server


def ask(
    source: InspectedSource, path: str, body: str | None = None, **headers: str
) -> tuple[int, bytes]:
    """Return status and content of a request; a body is posted. {here} stands for the server."""

    async def send() -> tuple[int, bytes]:
        async with hosting(source) as server, aiohttp.ClientSession() as http:
            here = f"{server.host}:{server.port}"
            sent = {name: value.format(here=here) for name, value in headers.items()}
            url = URL(f"http://{here}{path}", encoded=True)
            method = "GET" if body is None else "POST"
            async with http.request(method, url, data=body, headers=sent) as reply:
                return reply.status, await reply.read()

    return asyncio.run(send())


@pytest.mark.parametrize(
    ("path", "status"),
    [
        pytest.param("/", 404, id="no token"),
        pytest.param("/content", 404, id="content without the token"),
        pytest.param("/wrong/content", 404, id="a wrong token"),
        pytest.param(f"/{TOKEN}x/content", 404, id="a longer token"),
        pytest.param(f"/{TOKEN}/", 200, id="the page"),
        pytest.param(f"/{TOKEN}/inspect.js", 200, id="its script"),
        pytest.param(f"/{TOKEN}/page.py", 404, id="our code"),
        pytest.param(f"/{TOKEN}/..%2fA.mrc", 404, id="a path out of the pages"),
        pytest.param(f"/{TOKEN}/image/A/2.png", 200, id="an image"),
        pytest.param(f"/{TOKEN}/image/A/7.png", 404, id="no such image"),
        pytest.param(f"/{TOKEN}/image/B/0.png", 404, id="no such series"),
        pytest.param(f"/{TOKEN}/picture/A-residuals.png?results=processed", 200, id="a picture"),
        pytest.param(f"/{TOKEN}/picture/A-sinogram.png?results=../x", 404, id="other results"),
        pytest.param(f"/{TOKEN}/picture/B-sinogram.png?results=processed", 404, id="none of B"),
        pytest.param(f"/{TOKEN}/slices.png?results=processed&at=2.5", 200, id="slices"),
        pytest.param(f"/{TOKEN}/slices.png?results=processed&at=far", 400, id="no number"),
    ],
)
def test_only_who_has_the_address_sees_anything(session: Path, path: str, status: int) -> None:
    found, content = ask(inspected(session), path)
    assert found == status
    assert content.startswith(PNG) == (".png" in path and status == 200)
    assert status == 200 or content.count(b"\n") == 0


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize(
    ("token", "body", "headers", "status"),
    [
        pytest.param("wrong", '{"drop": []}', ORIGIN | JSON, 404, id="no token"),
        pytest.param(TOKEN, '{"drop": []}', JSON, 403, id="not a page"),
        pytest.param(
            TOKEN, '{"drop": []}', JSON | {"Origin": "http://evil.example"}, 403, id="another page"
        ),
        pytest.param(
            TOKEN, '{"drop": []}', ORIGIN | {"Content-Type": "text/plain"}, 403, id="a form"
        ),
        pytest.param(
            TOKEN, '{"drop": []}', ORIGIN | JSON | {"Host": "evil.example"}, 403, id="DNS rebinding"
        ),
        pytest.param(TOKEN, '{"drop": "A:1"}', ORIGIN | JSON, 400, id="no list"),
        pytest.param(TOKEN, '{"drop": ["A:1", "--out /"]}', ORIGIN | JSON, 400, id="an option"),
        pytest.param(TOKEN, '{"out": "/"}', ORIGIN | JSON, 400, id="another setting"),
        pytest.param(TOKEN, '{"drop": ["A:3"]}', ORIGIN | JSON, 200, id="a tilt"),
    ],
)
def test_only_the_page_itself_starts_processing(
    session: Path, token: str, body: str, headers: dict[str, str], status: int
) -> None:
    found, content = ask(
        ScriptedSource(inspected(session)._source), f"/{token}/process", body, **headers
    )
    assert found == status, content
    assert content.count(b"\n") == 0


def test_what_the_page_starts_is_the_command_it_shows(session: Path) -> None:
    source = inspected(session)
    words = source.command(["A:3", "B:1,2"])
    assert words[-7:] == [
        str(session), "--tilt-sense", "-1", "--drop", "A:3", "--drop", "B:1,2",
    ]  # fmt: skip
    assert " ".join(source.page("").command) == f"dualtilt process {session} --tilt-sense -1"


def test_the_page_of_results_made_again_can_show_the_first(session: Path) -> None:
    make_finished(session / "processed-2")
    source = inspected(session / "processed-2")
    again, first = source.page(""), source.page("processed")
    assert (again.shown, first.shown) == ("processed-2", "processed")
    assert again.results == first.results == ("processed", "processed-2")
    images = {image.name: image for one in first.series for image in one.images}
    assert [name for name, image in images.items() if image.dropped] == ["A#2"]
    assert images["A#5"].left_out == "it does not fit the other images"
    assert images["A#3"].residual_px == 0.03 and images["A#3"].angle_deg == -20


def test_plain_files_are_shown_without_the_results_beside_them(session: Path) -> None:
    page = inspected(session, session / "A.mrc").page("")
    assert page.results == () and not page.can_process
    assert [len(one.images) for one in page.series] == [7]
    assert " ".join(page.command) == f"dualtilt process {session}/A.mrc --tilt-sense -1 --out NEW"


def test_a_second_run_waits_and_the_end_of_the_server_ends_the_first(session: Path) -> None:
    source = ScriptedSource(inspected(session)._source)
    source.waits = True

    async def twice() -> list[int]:
        async with hosting(source) as server, aiohttp.ClientSession() as http:
            url = server.make_url(f"/{TOKEN}/process")
            headers = {"Origin": f"http://{server.host}:{server.port}"}
            statuses = []
            for _ in range(2):
                async with http.post(url, json={"drop": []}, headers=headers) as reply:
                    statuses.append(reply.status)
            return statuses

    async def in_time() -> list[int]:
        async with asyncio.timeout(ENOUGH_S):
            return await twice()

    assert asyncio.run(in_time()) == [200, 409]


@pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium")
def test_a_tilt_is_left_out_with_a_click_and_the_new_results_are_shown(
    session: Path, tmp_path: Path
) -> None:
    source = ScriptedSource(inspected(session)._source)

    async def visit() -> tuple[str, str]:
        async with hosting(source) as server:
            address = str(server.make_url(f"/{TOKEN}/"))
            async with open_page(address, tmp_path / "profile", (1280, 900)) as page:
                await page.until("document.querySelectorAll('.images img').length === 7")
                await page.until("document.getElementById('slice').naturalWidth > 0")
                await page.evaluate("document.querySelectorAll('.images input')[2].click()")
                command = await page.evaluate("document.getElementById('command').textContent")
                (tmp_path / "screen.png").write_bytes(await page.screenshot())  # for inspection
                await page.evaluate("document.getElementById('process').click()")
                await page.until("document.getElementById('told').textContent.includes('-2')")
                shown = await page.evaluate(
                    "document.querySelector('[aria-pressed=true]').textContent"
                )
                return str(command), str(shown)

    command, shown = asyncio.run(visit())
    assert command == f"dualtilt process {session} --tilt-sense -1 --drop A:2,3"
    assert shown == "processed-2"


@pytest.mark.parametrize(
    ("words", "says"),
    [
        pytest.param(["{session}", "--pictures", "{session}/../p"], "choose one", id="both"),
        pytest.param(["{session}/A.mrc"] * 3, "one or two series", id="three files"),
        pytest.param(["{session}/none.mrc"], "no such file", id="a missing file"),
    ],
)
def test_what_the_page_cannot_show_is_said_in_one_line(
    words: list[str], says: str, session: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [word.format(session=session) for word in words]
    assert main(["inspect", "--browser", *given]) == ExitCode.USAGE
    assert says in capsys.readouterr().err
