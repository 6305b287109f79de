# SPDX-License-Identifier: Apache-2.0
"""How many PKCS#11 calls an unwrap makes, as OpenSC's pkcs11-spy sees them: each is a round trip on a network HSM."""

import re
from collections import Counter
from pathlib import Path

import pytest

from sealpass.core.capabilities import UnwrapMode
from sealpass.core.uri import KeyUri
from tests.support.process import run_module
from tests.support.soft_tokens import SoftToken

NATIVE = {"C_DecryptInit": 1, "C_Decrypt": 1}
IN_TOKEN = {"C_UnwrapKey": 1, "C_DecryptInit": 1, "C_Decrypt": 1, "C_DestroyObject": 1}
FEW, MORE = 5, 15


def spy_module() -> Path:
    """OpenSC's spy, which Debian and Fedora put beside the other modules."""
    found = [path for place in ("/usr/lib", "/usr/lib64") for path in sorted(Path(place).glob("**/pkcs11-spy.so"))]
    if not found:
        pytest.fail("pkcs11-spy of OpenSC is not installed; the set-up installs it")
    return found[0]


def calls(uri: str, count: int, log: Path) -> Counter[str]:
    """The calls of a process that opens ``count`` tokens."""
    parsed = KeyUri.parse(uri)
    spied = KeyUri(parsed.scheme, parsed.path, {**parsed.query, "module-path": bytes(spy_module())})
    environment = {"PKCS11SPY": parsed.require("module-path"), "PKCS11SPY_OUTPUT": str(log)}
    ran = run_module("unwrap_times", str(spied), str(count), environment=environment)
    assert ran.returncode == 0, ran.stderr
    return Counter(re.findall(r"^\d+: (C_\w+)$", log.read_text(errors="replace"), re.MULTILINE))


@pytest.mark.parametrize(
    ("kind", "mode", "expected"),
    [
        ("softhsm2", UnwrapMode.NATIVE, NATIVE),
        ("softhsm2", UnwrapMode.IN_TOKEN, IN_TOKEN),
        ("nss", UnwrapMode.NATIVE, NATIVE),
        ("nss", UnwrapMode.IN_TOKEN, IN_TOKEN | {"C_GetAttributeValue": 1}),
    ],
    ids=["softhsm2-native", "softhsm2-in-token", "nss-native", "nss-in-token"],
)
def test_an_unwrap_makes_the_fewest_calls(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str, mode: UnwrapMode, expected: dict[str, int]
) -> None:
    """Native is two calls, in-token four, and a fifth where the module tells the truth about CKA_VALUE_LEN."""
    token: SoftToken = request.getfixturevalue(kind)
    uri = token.shared_key(mode)
    few, more = (calls(uri, count, tmp_path / str(count)) for count in (FEW, MORE))
    assert {name: number / (MORE - FEW) for name, number in (more - few).items()} == expected
