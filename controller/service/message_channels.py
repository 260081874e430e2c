"""Channels that carry a message to somebody away: webhook and e-mail.

A secret is unwrapped only where it is used. No error that leaves this module contains one.
"""

from __future__ import annotations

import json
import os
import smtplib
import ssl
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from urllib.parse import urlsplit

from pydantic import Secret, SecretStr

from controller.model.sections.notify import Notify


@dataclass(frozen=True)
class Message:
    """A message: its subject and its text."""

    subject: str
    text: str


class NotDeliveredError(Exception):
    """A message was not delivered; the text says why, without any secret."""


def channels(settings: Notify) -> dict[str, Callable[[Message], None]]:
    """Return the functions that send a message, by the name of their channel.

    Each raises `NotDeliveredError` if the message was not delivered.
    """
    found: dict[str, Callable[[Message], None]] = {}
    if settings.webhook.get_secret_value():
        found["webhook"] = lambda message: _without_secrets(lambda: _post(settings, message))
    if settings.email_to:
        found["e-mail"] = lambda message: _without_secrets(lambda: _mail(settings, message))
    return found


def _without_secrets(send: Callable[[], None]) -> None:
    try:
        send()
    except NotDeliveredError:
        raise
    except Exception as error:  # noqa: BLE001 -- an error of a library may quote the address
        raise NotDeliveredError(_describe(error)) from None


def _describe(error: Exception) -> str:
    """Describe an error by its kind and codes alone."""
    match error:
        case urllib.error.HTTPError(code=code) if 300 <= code < 400:
            return f"the server answers {code}, and redirects are not followed"
        case urllib.error.HTTPError(code=code):
            return f"the server answers {code}"
        case urllib.error.URLError(reason=Exception() as reason):
            return _describe(reason)
        case smtplib.SMTPResponseException(smtp_code=code):
            return f"the mail server answers {code} ({type(error).__name__})"
        case ssl.SSLCertVerificationError(verify_message=text):
            return f"CERTIFICATE_VERIFY_FAILED: {text}"
        case OSError(strerror=str(text)) if text:
            return text
        case TimeoutError():
            return "timed out"
        case _:
            return type(error).__name__


def _post(settings: Notify, message: Message) -> None:
    """POST the message as JSON; chat services show `text`."""
    body = {"text": f"{message.subject}\n{message.text}", "subject": message.subject}
    request = urllib.request.Request(
        _http_address(settings.webhook),
        data=json.dumps(body).encode(),
        headers={"Content-Type": "application/json"},
    )
    with _http_opener().open(request, timeout=settings.timeout_s):
        pass


def _http_opener() -> urllib.request.OpenerDirector:
    """Return an opener for http and https alone, which follows no redirect."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _http_address(webhook: Secret[str]) -> str:
    """Return the address of a webhook.

    Raises
    ------
    NotDeliveredError
        It is no plain address of http or https, or its environment variable is not set.
    """
    address = _resolve(webhook).get_secret_value()
    try:
        parts = urlsplit(address)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        is_address = False
    if not is_address or any(
        not character.isprintable() or character == " " for character in address
    ):
        raise NotDeliveredError(
            "its address must begin with http:// or https:// and have no spaces"
        )
    if not address.isascii():
        raise NotDeliveredError("its address must be plain ASCII: write other letters as %XX")
    if "@" in parts.netloc:  # it would be looked up as a name: a password in a DNS request
        raise NotDeliveredError("its address must not hold a user or password")
    return address


def _mail(settings: Notify, message: Message) -> None:
    mail = EmailMessage()
    mail["Subject"] = message.subject
    mail["From"] = settings.email_from
    mail["To"] = ", ".join(settings.email_to)
    mail.set_content(message.text)
    with _mail_server(settings) as smtp:
        if settings.smtp_user:
            smtp.login(settings.smtp_user, _resolve(settings.smtp_password).get_secret_value())
        smtp.send_message(mail)


def _mail_server(settings: Notify) -> smtplib.SMTP:
    """Connect; with TLS, only to a server with a valid certificate."""
    host, port, timeout_s = settings.smtp_host, settings.smtp_port, settings.timeout_s
    trusted = ssl.create_default_context()  # smtplib's default accepts any certificate
    if settings.smtp_security == "tls":
        return smtplib.SMTP_SSL(host, port, timeout=timeout_s, context=trusted)
    smtp = smtplib.SMTP(host, port, timeout=timeout_s)
    if settings.smtp_security == "starttls":
        try:
            smtp.starttls(context=trusted)
        except BaseException:
            smtp.close()
            raise
    return smtp


def _resolve(secret: Secret[str]) -> SecretStr:
    """Return the secret, or that in the environment variable it names as ``env:NAME``.

    Raises
    ------
    NotDeliveredError
        If there is no such variable.
    """
    value = secret.get_secret_value()
    name = value.removeprefix("env:")
    if name == value:
        return SecretStr(value)
    if name not in os.environ:
        raise NotDeliveredError(
            f"environment variable {name} is not set: set it before the session"
        )
    return SecretStr(os.environ[name])
