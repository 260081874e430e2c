"""Damaged messages: valid ones with changed, missing, inserted or repeated bytes."""

from __future__ import annotations

import random
from collections.abc import Callable

from Pyro5 import protocol

from tests.bridge.peer import HEADER, invocation, message

STATUS = invocation('{"kind": "status"}')
PERFORM = invocation(
    '{"kind": "perform", "token": "guess", "request_id": "x", '
    '"action": {"kind": "move_stage", "target": {"alpha_deg": 12.0}}}'
)
WHOLE = (
    message(STATUS),
    message(PERFORM),
    message(b'{"handshake": {"token": "x"}, "object": "x"}', kind=protocol.MSG_CONNECT),
    message(STATUS, flags=protocol.FLAGS_BATCH),
    message(STATUS, kind=protocol.MSG_PING),
)


def mutated(dice: random.Random) -> bytes:
    """Return one message with one to three random damages."""
    data = bytearray(dice.choice(WHOLE))
    for _ in range(dice.randint(1, 3)):
        dice.choice(WAYS)(data, dice)
    return bytes(data)


def _change_bytes(data: bytearray, dice: random.Random) -> None:
    for _ in range(min(len(data), dice.randint(1, 8))):
        data[dice.randrange(len(data))] = dice.randrange(256)


def _change_header(data: bytearray, dice: random.Random) -> None:
    if len(data) >= HEADER.size:
        data[dice.randrange(HEADER.size)] ^= 1 << dice.randrange(8)


def _cut(data: bytearray, dice: random.Random) -> None:
    del data[dice.randrange(len(data) + 1) :]


def _insert(data: bytearray, dice: random.Random) -> None:
    position = dice.randrange(len(data) + 1)
    data[position:position] = dice.randbytes(dice.randint(1, 4000))


def _repeat(data: bytearray, dice: random.Random) -> None:
    data += bytes(data)


WAYS: tuple[Callable[[bytearray, random.Random], None], ...] = (
    _change_bytes,
    _change_header,
    _cut,
    _insert,
    _repeat,
)
