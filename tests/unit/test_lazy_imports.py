# SPDX-License-Identifier: Apache-2.0
"""What importing sealpass costs: each test looks from a fresh process."""

import json

import pytest

import sealpass
from tests.support.process import run_python

HEAVY = (
    "alembic",
    "argon2",
    "boto3",
    "click",
    "cryptography",
    "hdrh",
    "jks",
    "jwcrypto",
    "pkcs11",
    "psycopg",
    "rich",
    "sqlalchemy",
)


def _modules_after(code: str) -> set[str]:
    """The top-level names of what is loaded after ``code``, and our own modules in full."""
    script = f"import json, sys, threading\n{code}\nprint(json.dumps([sorted(sys.modules), threading.active_count()]))"
    modules, threads = json.loads(run_python(script))
    assert threads == 1, "an import started a thread"
    return {name if name.startswith("sealpass") else name.partition(".")[0] for name in modules}


def test_import_sealpass_loads_nothing_heavy() -> None:
    """No device SDK, no cryptography, no command line library, and nothing of our own either."""
    loaded = _modules_after("import sealpass; sealpass.__version__; dir(sealpass)")
    assert loaded.isdisjoint(HEAVY)
    assert {name for name in loaded if name.startswith("sealpass")} == {"sealpass"}


@pytest.mark.parametrize(
    ("code", "allowed"),
    [
        ("from sealpass import KeyUri, DecryptionFailed, TokenRejected, MemoryNonceStore, Deadline", set()),
        ("from sealpass import open_key, KeyRing, announce, unwrap_password, SEALPASS", {"cryptography"}),
        ("import sealpass.core.jwe, sealpass.core.diagnose, sealpass.core.encrypt", {"cryptography"}),
        ("import sealpass.backends.software", {"cryptography"}),
    ],
    ids=["values", "api", "core", "software"],
)
def test_names_load_what_they_need(code: str, allowed: set[str]) -> None:
    """In particular jwcrypto, the slowest of all, only where a JWK is made or read."""
    assert _modules_after(code) & set(HEAVY) <= allowed


def test_every_public_name_is_there() -> None:
    """__all__ is the promise: each name loads, is the same at the second access, and is listed by dir()."""
    for name in sealpass.__all__:
        assert getattr(sealpass, name) is getattr(sealpass, name)
    assert set(sealpass.__all__) <= set(dir(sealpass))


def test_unknown_names_are_attribute_errors() -> None:
    """As of any module, with the name in it."""
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = sealpass.no_such_name
