"""Section `notify`: messages to people who are not at the screen."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, JsonValue, Secret, model_validator

from controller.common.settings_file import SECRET_PATTERN, WEBHOOK_PATTERN
from controller.model.base import Positive, Settings

Webhook = Secret[Annotated[str, Field(pattern=WEBHOOK_PATTERN)]]
Password = Secret[Annotated[str, Field(pattern=SECRET_PATTERN)]]
EMPTY: dict[str, JsonValue] = {"default": ""}


class Notify(Settings):
    """Messages when the session stops or waits for an answer; none by default."""

    webhook: Webhook = Field(default_factory=lambda: Webhook(""), json_schema_extra=EMPTY)
    """Address to which JSON with a `text` is posted. Protocols appear in reports: put a secret
    address in an environment variable and name it here, ``env:NAME``."""
    email_to: tuple[str, ...] = ()
    """E-mail addresses of the recipients."""
    email_from: str = ""
    """E-mail address of the sender."""
    smtp_host: str = ""
    """Name of the mail server."""
    smtp_port: Annotated[int, Field(ge=1, le=65535)] = 25
    """Port of the mail server."""
    smtp_security: Literal["none", "starttls", "tls"] = "none"
    """Encryption of the connection to the mail server."""
    smtp_user: str = ""
    """User name at the mail server; empty: no login."""
    smtp_password: Password = Field(default_factory=lambda: Password(""), json_schema_extra=EMPTY)
    """Environment variable that holds the password, ``env:NAME``; never the password itself."""
    timeout_s: Positive = 10.0
    """Longest wait for webhook and mail server (s)."""

    @property
    def sends_messages(self) -> bool:
        """True if a webhook or e-mail addresses are given."""
        return bool(self.webhook.get_secret_value() or self.email_to)

    @model_validator(mode="after")
    def _mail_can_be_sent(self) -> Self:
        if self.email_to and not (self.email_from and self.smtp_host):
            raise ValueError("email_to needs email_from and smtp_host")
        if self.smtp_user and self.smtp_security == "none":
            raise ValueError("smtp_user needs smtp_security, else its password is sent unencrypted")
        return self
