# SPDX-License-Identifier: Apache-2.0
import sys
from pathlib import Path

import pytest

from sealpass.backends import registry
from sealpass.backends.registry import family, key_maker, open_key, schemes
from sealpass.core.errors import ConfigError, MissingDependency
from sealpass.core.uri import KeyUri
from tests.support.process import run_python


def test_software_is_always_there() -> None:
    """It needs no extra."""
    assert "software" in schemes()
    assert family("software").ATTRIBUTES.path == {"path"}


@pytest.mark.parametrize("use", [open_key, key_maker, lambda uri: family(uri.partition(":")[0])])
@pytest.mark.parametrize("scheme", ["yubihsm", "file", "https"])
def test_unknown_scheme(use: object, scheme: str) -> None:
    """Answered with the schemes that there are."""
    with pytest.raises(ConfigError, match=f"no backend for '{scheme}:'") as caught:
        use(f"{scheme}:path=x")  # type: ignore[operator]
    assert all(known in caught.value.hint for known in schemes())


@pytest.mark.parametrize("use", [open_key, key_maker])
@pytest.mark.parametrize("uri", ["file:///x", "https://host/key?a=b", "Vault:x"])
def test_unknown_scheme_is_said_before_the_grammar(use: object, uri: str) -> None:
    """Nobody mends the attributes of a URI that no backend takes."""
    with pytest.raises(ConfigError, match="no backend for"):
        use(uri)  # type: ignore[operator]


def test_value_without_a_name_is_answered_with_an_example() -> None:
    """A path right behind the scheme is what everybody tries first."""
    with pytest.raises(ConfigError, match="name=value") as caught:
        open_key("software:/x.pem")
    assert "software:path=/x.pem" in caught.value.hint


def test_quotes_around_a_uri_are_asked_about() -> None:
    """A shell variable that holds quotes of its own."""
    with pytest.raises(ConfigError, match="scheme") as caught:
        open_key("'software:path=x.pem'")
    assert "quotes" in caught.value.hint


def test_scheme_ignores_case(software_uri: str) -> None:
    """As in every URI."""
    with open_key(software_uri.replace("software:", "SOFTWARE:")) as key:
        assert key.key_id


def test_parsed_uris_are_taken(software_uri: str) -> None:
    """And their attributes are checked like those of a text."""
    with open_key(KeyUri.parse(software_uri)) as key:
        assert key.key_id
    with pytest.raises(ConfigError, match="unknown path attribute 'colour'"):
        open_key(KeyUri("software", {"path": b"x", "colour": b"red"}))
    with pytest.raises(ConfigError, match="unknown path attribute 'colour'"):
        key_maker(KeyUri("software", {"path": b"x", "colour": b"red"}))


# The SDK is made unimportable before sealpass is loaded, as on a machine without the extra.
WITHOUT_SDK = """
import sys
sys.modules[{sdk!r}] = None
import sealpass
try:
    sealpass.open_key({uri!r})
except sealpass.MissingDependency as missing:
    print(missing, missing.hint, missing.extra, missing.__suppress_context__, sep="|")
"""


@pytest.mark.parametrize(
    ("scheme", "sdk", "uri"), [("pkcs11", "pkcs11", "pkcs11:token=t;object=o?module-path=/nowhere.so")]
)
def test_missing_extra_names_the_install_command(scheme: str, sdk: str, uri: str) -> None:
    """The SDK is not installed: no traceback, but the line to copy."""
    printed = run_python(WITHOUT_SDK.format(sdk=sdk, uri=uri)).strip()
    text = f"this needs the Python package that provides '{sdk}', which is not installed"
    assert printed == f"{text}|pip install 'sealpass[{scheme}]'|{scheme}|True"


@pytest.fixture
def broken_family(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A backend module of the scheme ``broken`` that a test can write."""
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "broken_family", raising=False)
    monkeypatch.setitem(registry._FAMILIES, "broken", registry._Entry("broken_family", extra="broken"))
    return tmp_path / "broken_family.py"


def test_module_of_our_own_that_is_missing_is_a_bug(broken_family: Path) -> None:
    """Nobody is told to install an extra that would not help."""
    broken_family.write_text("import sealpass.core.nothing\n")
    with pytest.raises(ModuleNotFoundError, match="nothing"):
        family("broken")


def test_other_import_errors_are_not_missing_extras(broken_family: Path) -> None:
    """An SDK that is there and does not work shows its own error."""
    broken_family.write_text("raise ImportError('libfoo.so.1: cannot open shared object file')\n")
    with pytest.raises(ImportError, match=r"libfoo") as caught:
        family("broken")
    assert not isinstance(caught.value, MissingDependency)


def test_missing_part_of_an_extra_is_named(broken_family: Path) -> None:
    """An extra may need several packages."""
    broken_family.write_text("import some_sdk_that_nobody_has\n")
    with pytest.raises(MissingDependency, match="some_sdk_that_nobody_has") as caught:
        family("broken")
    assert caught.value.hint == "pip install 'sealpass[broken]'"


def test_a_bare_arn_is_told_its_scheme() -> None:
    """Who pastes what the AWS console shows reads how it becomes a URI."""
    with pytest.raises(ConfigError) as caught:
        open_key("arn:aws:kms:eu-central-1:111122223333:key/0")
    assert "awskms:key-id=ARN" in caught.value.hint
