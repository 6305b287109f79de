# SPDX-License-Identifier: Apache-2.0
"""What importing sealpass costs: each test looks from a fresh process."""

import inspect
import json
import re
from collections.abc import Callable, Iterator

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


def _functions(owner: type) -> Iterator[Callable[..., object]]:
    for name, member in vars(owner).items():
        if name.startswith("_") and name != "__init__":
            continue
        found = getattr(member, "__func__", member)
        if isinstance(member, property):
            found = member.fget
        if inspect.isfunction(found):
            yield found


# What a backend or a profile is made of, which is not for applications.
INSIDE = {
    "Capabilities",
    "Configuration",
    "ContentEncryption",
    "ContentKey",
    "FailureFloor",
    "Finding",
    "RsaOaep",
    "Submission",
    "UriAttributes",
}


def test_every_type_in_a_public_signature_is_public() -> None:
    """Whoever is handed something, or has to hand it over, can name its type."""
    private = set()
    for name in sealpass.__all__:
        public = getattr(sealpass, name)
        functions = _functions(public) if inspect.isclass(public) else [public] if inspect.isfunction(public) else []
        for function in functions:
            named = re.findall(r"sealpass(?:\.\w+)+\.([A-Z]\w*)", str(inspect.signature(function)))
            private |= {(name, each) for each in named if each not in sealpass.__all__ and each not in INSIDE}
    assert private == set()


IN_THE_DATABASE = (
    "ConfigurationRefused",
    "Counter",
    "Database",
    "HistoryRecord",
    "LockOut",
    "PasswordService",
    "PasswordStorage",
    "Reloaded",
    "SqlNonceStore",
    "SqlPasswordRepository",
    "StoredPassword",
    "open_service",
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


@pytest.mark.parametrize("package", ["alembic", "jsonschema", "sqlalchemy"])
@pytest.mark.parametrize("module", ["sealpass", "sealpass.service.configuration"])
def test_without_a_package_of_the_extra_a_service_says_what_is_missing(package: str, module: str) -> None:
    """From either place, and with no other error behind it."""
    script = f"""
import sys
sys.modules["{package}"] = None
from sealpass import MissingDependency
try:
    from {module} import open_service
except MissingDependency as error:
    print("'{package}'" in str(error), error.extra, error.__cause__, error.__context__, sep="|")
"""
    assert run_python(script).strip() == "True|service|None|None"


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
