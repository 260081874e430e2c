"""The page of a session on a server in this process."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp.test_utils import TestServer

from controller.ui.web import page_server as web

ENOUGH_S = 60.0
"""Longest wait for a page (s)."""


@asynccontextmanager
async def hosting(folder: Path, *names: str) -> AsyncIterator[TestServer]:
    async with TestServer(web.page_app(folder, "127.0.0.1", names)) as server:
        yield server
