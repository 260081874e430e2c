"""Headers and error lines that the web servers have in common."""

from __future__ import annotations

import logging

from aiohttp.http_exceptions import HttpProcessingError

from controller.common.errors import one_line

SECURITY = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; "
    "style-src 'self' 'unsafe-inline'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


def errors_in_one_line() -> None:
    """Have errors of the server logged in one line, malformed requests not at all.

    aiohttp would print a traceback for each, and any stranger can send thousands.
    """
    logging.getLogger("aiohttp.server").addFilter(_shown_in_one_line)


def _shown_in_one_line(record: logging.LogRecord) -> bool:
    error = record.exc_info[1] if record.exc_info else None
    if isinstance(error, HttpProcessingError):
        return False
    if error is not None:
        record.msg = f"a page was not shown: {type(error).__name__}: {one_line(str(error))}"
        record.args, record.exc_info = (), None
    return True
