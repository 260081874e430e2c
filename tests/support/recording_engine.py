"""Engine for tests of the service: records the commands that it receives."""

from __future__ import annotations

from dataclasses import dataclass, field

from controller.common.errors import UsageError
from controller.model.commands import Answer, StopWhen


@dataclass
class RecordingEngine:
    """Accepts every command; refuses a pause if `refusal` gives a reason."""

    commands: list[object] = field(default_factory=list)
    refusal: str = ""

    def pause(self) -> None:
        if self.refusal:
            raise UsageError(self.refusal)
        self.commands.append("pause")

    def go_on(self) -> None:
        self.commands.append("go on")

    def stop(self, when: StopWhen) -> None:
        self.commands.append(when)

    def retake(self, count: int) -> None:
        self.commands.append(("retake", count))

    def complete(self) -> None:
        self.commands.append("all tilts")

    def answer(self, answer: Answer) -> None:
        self.commands.append(answer)
