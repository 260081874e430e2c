"""A session that is served, with an engine that records its commands."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from controller.model.events import Record
from controller.service.session_server import SessionService
from tests.support.recording_engine import RecordingEngine


@dataclass
class Session:
    folder: Path
    service: SessionService
    engine: RecordingEngine
    log: list[Record]

    def publish_all(self, events: Iterator[object]) -> None:
        for event in events:
            self.service.publish(event)  # type: ignore[arg-type]
        wait_until(lambda: self.service.store.status.seq == self.log_seq())

    def log_seq(self) -> int:
        return self.service._next_seq - 1


def wait_until(condition: object, seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not condition():  # type: ignore[operator]
        assert time.monotonic() < end, "did not happen"
        time.sleep(0.005)
