"""An engine for the service's side of a test: notes what it is told."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.common.errors import UsageError
from controller.model.commands import Answer, StopWhen


@dataclass
class NotingEngine:
    """Takes every command; refuses a pause where `refusal` says why."""

    told: list[object] = field(default_factory=list)
    refusal: str = ""

    def pause(self) -> None:
        if self.refusal:
            raise UsageError(self.refusal)
        self.told.append("pause")

    def go_on(self) -> None:
        self.told.append("go on")

    def stop(self, when: StopWhen) -> None:
        self.told.append(when)

    def retake(self, count: int) -> None:
        self.told.append(("retake", count))

    def answer(self, answer: Answer) -> None:
        self.told.append(answer)
