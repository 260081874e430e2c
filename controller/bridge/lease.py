"""One controller at a time: a lease that must be renewed, or the bridge makes safe."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable

from controller.bridge.wire_messages import LeaseGrant
from controller.hardware.interface import LeaseError


class Lease:
    """The dead man's switch: held by one token, gone when it is not renewed in time.

    A frozen or unplugged controller closes no connection, so only silence tells. Time is real and
    monotonic. An expired lease stays in force against its old holder until `lapsed` has been
    asked, so that the safe state is reached before anybody else takes over.
    """

    def __init__(self, lease_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._lease_s = lease_s
        self._clock = clock
        self._lock = threading.Lock()
        self._holder: str | None = None
        self._token = ""
        self._deadline = 0.0

    @property
    def holder(self) -> str | None:
        """Who is in charge."""
        return self._holder

    def take(self, holder: str) -> LeaseGrant:
        """Grant the lease, or refuse and say who holds it.

        Raises
        ------
        LeaseError
            If it is held.
        """
        with self._lock:
            if self._holder is not None:
                raise LeaseError(
                    f"{self._holder} is in charge: stop that session, or wait "
                    f"{max(0.0, self._deadline - self._clock()):.1f} s after it has gone silent"
                )
            self._holder = holder
            self._token = secrets.token_urlsafe(24)
            self._deadline = self._clock() + self._lease_s
            return LeaseGrant(token=self._token, lease_s=self._lease_s)

    def renew(self, token: str) -> None:
        """Put the deadline off by one lease from now."""
        with self._lock:
            self._check(token)
            self._deadline = self._clock() + self._lease_s

    def check(self, token: str) -> None:
        """Refuse whoever is not in charge.

        Raises
        ------
        LeaseError
            For a stale, foreign or expired token.
        """
        with self._lock:
            self._check(token)

    def release(self, token: str) -> None:
        """Give the lease back."""
        with self._lock:
            self._check(token)
            self._drop()

    def lapsed(self) -> str | None:
        """Say who let the lease run out; None while it is held or free."""
        with self._lock:
            return self._holder if self._expired() else None

    def drop_lapsed(self) -> None:
        """Free a lease that has run out; its token is worth nothing from now on."""
        with self._lock:
            if self._expired():
                self._drop()

    def _check(self, token: str) -> None:
        if self._holder is None or not hmac.compare_digest(token.encode(), self._token.encode()):
            in_charge = f"{self._holder} is in charge" if self._holder else "nobody is in charge"
            raise LeaseError(f"this lease has ended ({in_charge}): connect again")
        if self._expired():
            raise LeaseError("the lease has run out: connect again")

    def _expired(self) -> bool:
        return self._holder is not None and self._clock() > self._deadline

    def _drop(self) -> None:
        self._holder = None
        self._token = ""
