"""Audit log of a bridge: one JSON record a line, so that no text in it can forge another line."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from pathlib import Path

_log = logging.getLogger("controller.bridge.audit")
_FIELDS = "audit_fields"


class JsonLines(logging.Formatter):
    """Format of the audit log: time, level, event and its fields; everything else is escaped."""

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of ASCII."""
        entry = {
            "at": datetime.fromtimestamp(record.created)
            .astimezone()
            .isoformat("T", "milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **getattr(record, _FIELDS, {}),
        }
        if record.exc_info:
            entry["trace"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def log_to(path: Path | None) -> None:
    """Write the audit log to a file, or discard it."""
    _log.propagate = False
    _log.setLevel(logging.INFO)
    handler = logging.FileHandler(path, encoding="ascii") if path else logging.NullHandler()
    handler.setFormatter(JsonLines())
    _log.addHandler(handler)


def record(event: str, **fields: object) -> None:
    """Log an action or a lease."""
    _log.info("%s", event, extra={_FIELDS: fields})


def warn(event: str, **fields: object) -> None:
    """Log a refusal, an error, or a step towards the safe state."""
    _log.warning("%s", event, extra={_FIELDS: fields})


def trace(event: str, **fields: object) -> None:
    """Log an unexpected error with its traceback; called while it is handled."""
    _log.exception("%s", event, extra={_FIELDS: fields})
