# SPDX-License-Identifier: Apache-2.0
"""Exceptions from outside (Ctrl-C, a worker's timeout) at any line of an unwrap: nothing is lost in the token."""

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

import pytest
from pkcs11 import Attribute, ObjectClass

from sealpass.backends.pkcs11.rsa_key import RsaTokenKey
from sealpass.backends.registry import open_key
from sealpass.core import encrypt, jwe
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.protocols import as_unwrapper
from tests.support.soft_tokens import SoftToken

WATCHED = ("rsa_key.py", "token_key.py", "session.py")


def interrupted_at(point: int, work: Callable[[], object]) -> bool:
    """Run ``work`` and raise KeyboardInterrupt at the given line event; False where it ended before."""
    seen = 0

    def trace(frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal seen
        # Python swallows what is raised in __del__: a second exception while the first one is cleaned up behind.
        if not frame.f_code.co_filename.endswith(WATCHED) or frame.f_code.co_name == "__del__":
            return None
        if event == "line":
            seen += 1
            if seen == point:
                raise KeyboardInterrupt
        return trace

    sys.settrace(trace)
    try:
        work()
    except KeyboardInterrupt:
        return True
    finally:
        sys.settrace(None)
    return False


@pytest.fixture(params=[UnwrapMode.NATIVE, UnwrapMode.IN_TOKEN])
def key(softhsm2: SoftToken, request: pytest.FixtureRequest) -> Iterator[RsaTokenKey]:
    """A key in each mode."""
    with open_key(softhsm2.shared_key(request.param), failure_floor=0) as opened:
        assert isinstance(opened, RsaTokenKey)
        slot = opened._connection.slot
        yield opened
    # The login ends with the last session: who still sees private keys now has left one open.
    with slot.get_token().open() as session:
        assert ObjectClass.PRIVATE_KEY not in {item[Attribute.CLASS] for item in session.get_objects()}


def content_keys(key: RsaTokenKey) -> int:
    """The AES session objects that the token holds."""
    with key._connection.own_session() as session:
        return len(list(session.get_objects({Attribute.CLASS: ObjectClass.SECRET_KEY, Attribute.TOKEN: False})))


def test_an_interrupted_unwrap_leaves_neither_session_nor_cek(key: RsaTokenKey) -> None:
    """At whatever line it comes, the session is closed or goes back, and no CEK stays in the token."""
    token = encrypt.encrypt(b"payload", key.public_jwk, "RSA-OAEP", "A256GCM")
    unwrapper = as_unwrapper(key)
    connection = key._connection
    point = 1
    while interrupted_at(point, lambda: jwe.decrypt(token, unwrapper)):
        assert connection._opened == len(connection._idle), f"a session is lost at point {point}"
        assert content_keys(key) == 0, f"a CEK is left at point {point}"
        point += 1
    assert point > 10
    assert jwe.decrypt(token, unwrapper) == b"payload"
