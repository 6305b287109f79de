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
    "jsonschema",
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
        ("from sealpass import PasswordPolicy, BlockList, PasswordRepository, PasswordCheck, Outcome", set()),
        ("from sealpass import E2eePasswordRepository", {"cryptography"}),
    ],
    ids=["values", "api", "core", "software", "policy", "e2ee"],
)
def test_names_load_what_they_need(code: str, allowed: set[str]) -> None:
    """In particular jwcrypto, the slowest of all, only where a JWK is made or read."""
    assert _modules_after(code) & set(HEAVY) <= allowed


def test_every_public_name_is_there() -> None:
    """__all__ is the promise: each name loads, is the same at the second access, and is listed by dir()."""
    for name in sealpass.__all__:
        assert getattr(sealpass, name) is getattr(sealpass, name)
    assert set(sealpass.__all__) <= set(dir(sealpass))


IN_THE_DATABASE = (
    "Database",
    "LockOut",
    "PasswordStorage",
    "SqlNonceStore",
    "SqlPasswordRepository",
)


@pytest.mark.parametrize("name", IN_THE_DATABASE)
def test_without_sqlalchemy_its_names_say_which_extra_is_missing(name: str) -> None:
    """An error for operators, with the command to run; and for nothing else that is not there."""
    script = f"""
import sys
sys.modules["sqlalchemy"] = None  # what an import of a missing package finds
import sealpass
try:
    sealpass.{name}
except sealpass.MissingDependency as error:
    print(error.extra, error.hint, error.__cause__, error.__context__, sep="|")
"""
    assert run_python(script).strip() == "service|pip install 'sealpass[service]'|None|None"


def test_without_sqlalchemy_the_rest_is_there() -> None:
    """Policies, and the wrapper of any repository."""
    names = [name for name in sealpass.__all__ if name not in IN_THE_DATABASE]
    assert {"PasswordPolicy", "PasswordRepository", "E2eePasswordRepository"} <= set(names)
    script = f'import sys; sys.modules["sqlalchemy"] = None; from sealpass import {", ".join(names)}; print("all")'
    assert run_python(script).strip() == "all"


def test_a_missing_module_of_our_own_is_no_missing_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """A broken installation says what it is."""
    monkeypatch.setitem(sealpass._HOME_OF, "Database", "sealpass.service.not_there")
    monkeypatch.delitem(vars(sealpass), "Database", raising=False)
    with pytest.raises(ModuleNotFoundError, match="not_there"):
        _ = sealpass.Database


def test_unknown_names_are_attribute_errors() -> None:
    """As of any module, with the name in it."""
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = sealpass.no_such_name
