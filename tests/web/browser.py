"""A headless Chromium for one page, controlled over its DevTools protocol."""

from __future__ import annotations

import asyncio
import base64
import itertools
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
STARTS_WITHIN_S = 30.0
DESKTOP_PX, PHONE_PX = (1280, 900), (390, 844)
"""Width and height of the window."""
NO_GRAPHICS = ("--disable-gpu",)
SOFTWARE_GRAPHICS = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
"""Options for WebGL without a graphics card."""


class DevToolsError(Exception):
    """Answer of the browser to a call that it refuses."""


class Page:
    """One browser tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._numbers = itertools.count(1)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        """Call one DevTools method and return its result."""
        number = next(self._numbers)
        await self._socket.send_json({"id": number, "method": method, "params": params})
        async for message in self._socket:
            reply: dict[str, Any] = message.json()
            if reply.get("id") == number:
                if "error" in reply:
                    raise DevToolsError(reply["error"]["message"])
                result: dict[str, Any] = reply["result"]
                return result
        raise AssertionError(f"{method}: the browser closed the connection")

    async def evaluate(self, expression: str) -> Any:
        """Return the value of a JavaScript expression."""
        reply = await self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return reply["result"].get("value")

    async def until(self, expression: str, seconds: float = 20.0) -> None:
        """Wait until an expression is true."""
        for _ in range(round(seconds / 0.05)):
            with suppress(DevToolsError):  # between two pages no expression can be evaluated
                if await self.evaluate(expression):
                    return
            await asyncio.sleep(0.05)
        raise AssertionError(f"never true: {expression}")

    async def press(self, character: str) -> None:
        """Type one character."""
        for kind in ("keyDown", "keyUp"):
            await self.call("Input.dispatchKeyEvent", type=kind, text=character, key=character)

    async def screenshot(self) -> bytes:
        """Return a screenshot of the page as PNG."""
        return base64.b64decode((await self.call("Page.captureScreenshot"))["data"])


@asynccontextmanager
async def open_page(
    url: str, profile: Path, size: tuple[int, int], graphics: tuple[str, ...] = NO_GRAPHICS
) -> AsyncIterator[Page]:
    """Open a page in a new browser, and close the browser afterwards."""
    assert CHROMIUM is not None
    options = ["--headless", "--no-sandbox", *graphics, "--remote-debugging-port=0"]
    options += [f"--user-data-dir={profile}", f"--window-size={size[0]},{size[1]}", url]
    browser = subprocess.Popen(
        [CHROMIUM, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        port = await _port(profile / "DevToolsActivePort")
        async with aiohttp.ClientSession() as http:
            async with http.get(f"http://127.0.0.1:{port}/json/list") as reply:
                [tab] = [tab for tab in await reply.json() if tab["type"] == "page"]
            async with http.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0) as socket:
                page = Page(socket)
                yield page
                await page.call("Browser.close")
    finally:
        browser.terminate()
        browser.wait(timeout=60)


async def _port(port_file: Path) -> int:
    for _ in range(round(STARTS_WITHIN_S / 0.05)):
        if port_file.exists() and port_file.read_text().count("\n") >= 1:
            return int(port_file.read_text().split()[0])
        await asyncio.sleep(0.05)
    raise AssertionError("the browser did not start")
