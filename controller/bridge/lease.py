"""Lease: one session at a time controls the microscope and must renew its right to do so."""

from __future__ import annotations

import hmac
import secrets
import threading
import time
from collections.abc import Callable

from controller.bridge.wire_messages import LeaseGrant
from controller.common.errors import one_line
from controller.hardware.interface import LeaseError

LEAST_WAIT_S = 0.005


class Lease:
    """Dead man's switch: the holder has a token and must renew the lease before it expires.

    A session that froze or lost its network closes no connection, so only missing renewals show it.
    Time is real and monotonic. Nobody can take an expired lease until `release_expired` is called,
    so that the column is made safe before another session takes over.
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
        """Name of the session in charge; None: nobody."""
        return self._holder

    def take(self, holder: str) -> LeaseGrant:
        """Grant the lease to `holder`.

        Raises
        ------
        LeaseError
            If another session holds it; the message says which.
        """
        with self._lock:
            if self._holder is not None:
                raise LeaseError(
                    f"{self._holder} controls the microscope: stop that session, or wait "
                    f"{max(0.0, self._deadline - self._clock()):.1f} s after its last sign of life"
                )
            self._holder = one_line(holder)
            self._token = secrets.token_urlsafe(24)
            self._deadline = self._clock() + self._lease_s
            return LeaseGrant(token=self._token, lease_s=self._lease_s)

    def renew(self, token: str) -> None:
        """Extend the lease: it expires one lease duration from now."""
        with self._lock:
            self._check(token)
            self._deadline = self._clock() + self._lease_s

    def check(self, token: str) -> None:
        """Refuse a token that does not hold the lease.

        Raises
        ------
        LeaseError
            If the token is old, wrong or expired.
        """
        with self._lock:
            self._check(token)

    def held_by(self, token: str) -> bool:
        """Tell whether `token` is that of the present holder."""
        with self._lock:
            return bool(token) and hmac.compare_digest(token.encode(), self._token.encode())

    def left_s(self) -> float:
        """Return the time until the lease expires (s); infinite if nobody holds it."""
        with self._lock:
            if self._holder is None:
                return float("inf")
            return max(self._deadline - self._clock(), LEAST_WAIT_S)

    def release(self, token: str) -> None:
        """Give the lease back; its token becomes invalid."""
        with self._lock:
            self._check(token)
            self._drop()

    def expired_holder(self) -> str | None:
        """Return the holder of an expired lease; None if the lease is valid or free."""
        with self._lock:
            return self._holder if self._expired() else None

    def release_expired(self) -> None:
        """Free a lease that has expired; its token becomes invalid."""
        with self._lock:
            if self._expired():
                self._drop()

    def _check(self, token: str) -> None:
        if self._holder is None or not hmac.compare_digest(token.encode(), self._token.encode()):
            who = f"{self._holder} does" if self._holder else "no session does"
            raise LeaseError(
                f"this session no longer controls the microscope ({who}): connect again"
            )
        if self._expired():
            raise LeaseError(
                "this session did not answer in time and no longer controls the microscope: "
                "connect again"
            )

    def _expired(self) -> bool:
        return self._holder is not None and self._clock() > self._deadline

    def _drop(self) -> None:
        self._holder = None
        self._token = ""
