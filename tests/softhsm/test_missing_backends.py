# SPDX-License-Identifier: Apache-2.0
"""A backend that is not there: a skip with its reason for a developer, a failed run for CI."""

import os
import subprocess
import sys

import pytest

from tests.support.process import ROOT
from tests.support.soft_tokens import ALL_BACKENDS, need


class Token:
    """A kind of token that this machine may lack."""

    def __init__(self, missing: str | None, obstacle: str | None) -> None:
        self._missing, self._obstacle = missing, obstacle

    def missing(self) -> str | None:
        return self._missing

    def obstacle(self) -> str | None:
        return self._obstacle


CI_SCRIPT = ROOT / ".ci" / "run"
TEST = "tests/pkcs11/test_without_gcm.py::test_an_aes_key_does_not_seal[128-p11_kit]"
PRESENT = Token(None, None)
NO_PACKAGE = Token("no package", "no package")
NO_RIGHT = Token(None, "root only")
NEITHER = Token("no package", "root only")


@pytest.mark.parametrize(
    ("token", "at_home", "in_ci"),
    [
        (PRESENT, "", ""),
        (NO_PACKAGE, "Skipped: no package", "Failed: no package (SEALPASS_ALL_BACKENDS is set)"),
        (NO_RIGHT, "Skipped: root only", "Skipped: root only"),
        (NEITHER, "Skipped: root only", "Skipped: root only"),
    ],
    ids=["present", "no package", "no right", "neither"],
)
def test_what_is_missing_and_what_is_not_allowed(
    token: Token, at_home: str, in_ci: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """CI fails for a package that is not installed; what its user may not do is skipped there as everywhere."""
    for value, expected in (("", at_home), ("1", in_ci)):
        monkeypatch.setenv(ALL_BACKENDS, value)
        found = ""
        try:
            need(token)
        except (pytest.skip.Exception, pytest.fail.Exception) as outcome:
            found = f"{type(outcome).__name__}: {outcome}"
        assert found == expected


@pytest.mark.parametrize(("value", "status", "word"), [("", 0, "skipped"), ("1", 1, "failed")])
def test_the_run_fails_where_a_backend_had_to_be_there(value: str, status: int, word: str) -> None:
    """The same test of a missing token is skipped, or makes pytest exit with 1, and its reason is shown."""
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", TEST],
        cwd=ROOT,
        env={**os.environ, ALL_BACKENDS: value, "P11_KIT_CLIENT_MODULE": "/nonexistent/p11-kit-client.so"},
        capture_output=True,
        text=True,
        check=False,
        timeout=50,
    )
    assert ran.returncode == status, ran.stdout
    assert f"1 {word}" in ran.stdout
    assert "P11_KIT_CLIENT_MODULE names no file" in ran.stdout


@pytest.mark.skipif(not CI_SCRIPT.exists(), reason="an unpacked sdist has no CI")
def test_ci_has_every_backend() -> None:
    """What CI runs sets the variable before the tests."""
    script = CI_SCRIPT.read_text(encoding="utf-8")
    assert f"export {ALL_BACKENDS}=1\n" in script.partition("make test")[0]
