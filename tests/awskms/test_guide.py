# SPDX-License-Identifier: Apache-2.0
"""docs/awskms.md: its example runs, its tables are those of the code, and its policies allow just what is called."""

import fnmatch
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from sealpass.backends.awskms import ATTRIBUTES, settings
from sealpass.backends.awskms.client import _METHODS
from sealpass.backends.awskms.rsa_key import KmsRsaKey
from sealpass.backends.awskms.symmetric_key import KmsSymmetricKey
from sealpass.backends.registry import key_maker, open_key
from sealpass.core import encrypt, jwe
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import BackendUnavailable, DecryptionFailed
from sealpass.core.protocols import AliasPointer
from tests.support.kms_emulator import REGION, KmsEmulator

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "awskms.md").read_text(encoding="utf-8")
IAM_ACTIONS = {"ReEncrypt": {"kms:ReEncryptFrom", "kms:ReEncryptTo"}}
"""Where an action is not called as its operation."""


def statements(role: str) -> list[dict[str, Any]]:
    """The statements of a role's policy in the guide."""
    section = GUIDE.partition(f"### {role}\n")[2].partition("\n#")[0]
    found = re.search(r"```json\n(.*?)```", section, re.DOTALL)
    assert found is not None, role
    policy: dict[str, Any] = json.loads(found[1])
    assert policy["Version"] == "2012-10-17"
    return list(policy["Statement"])


def actions(statement: dict[str, Any]) -> set[str]:
    """The actions of a statement, which has one or a list of them."""
    given = statement["Action"]
    return {given} if isinstance(given, str) else set(given)


def log_in(kms: KmsEmulator) -> None:
    """Open through an alias, announce, unwrap, fail, and look where the alias points."""
    with open_key(f"awskms:key-id=alias/e2ee;region={REGION}", failure_floor=0.3) as key:
        assert isinstance(key, KmsRsaKey)
        token = encrypt.encrypt(b"x", key.public_jwk, "RSA-OAEP-256", "A256GCM")
        assert jwe.decrypt(token, key) == b"x"
        with pytest.raises(DecryptionFailed):
            jwe.decrypt(token[:-22] + "A" * 22, key)
        assert not key.has_moved()
        key.describe()


def hash_passwords(kms: KmsEmulator) -> None:
    """Seal and open a record."""
    with open_key(f"awskms:key-id=alias/hashes;region={REGION}") as key:
        assert isinstance(key, KmsSymmetricKey)
        assert key.open_sealed(key.seal(b"x", b"aad"), b"aad") == b"x"
        assert not key.has_moved()


def rotate(kms: KmsEmulator) -> None:
    """Move a record that was sealed by somebody else."""
    old, new = kms.create_symmetric(), kms.create_symmetric()
    with open_key(f"awskms:key-id={old}") as source, open_key(f"awskms:key-id={new}") as target:
        assert isinstance(source, KmsSymmetricKey)
        sealed = source.seal(b"x", b"aad")
        kms.reset()
    with open_key(f"awskms:key-id={old}") as source, open_key(f"awskms:key-id={new}") as target:
        assert isinstance(source, KmsSymmetricKey)
        assert source.reencrypt(sealed, b"aad", target, b"new") is not None


def administrate(kms: KmsEmulator) -> None:
    """Make keys, list them, move an alias, and fail to make an alias."""
    region = "eu-north-1"
    maker = key_maker(f"awskms:key-id=alias/e2ee;region={region}?max-attempts=1")
    maker.create_rsa(2048, UnwrapMode.NATIVE)
    other = key_maker(f"awskms:region={region}").create_rsa(2048, UnwrapMode.NATIVE)
    assert isinstance(maker, AliasPointer)
    maker.point_alias(other)
    key_maker(f"awskms:key-id=alias/hashes;region={region}").create_aes(256)
    assert len(list(key_maker(f"awskms:region={region}").list_keys())) == 3
    kms.fail("CreateAlias", "LimitExceededException", 1)
    with pytest.raises(BackendUnavailable):
        key_maker(f"awskms:key-id=alias/more;region={region}?max-attempts=1").create_aes(256)


ROLES: dict[str, Callable[[KmsEmulator], None]] = {
    "Login service": log_in,
    "Hash service": hash_passwords,
    "Rotation": rotate,
    "Key administrator": administrate,
}


@pytest.fixture
def _aliases(kms: KmsEmulator, rsa_arn: str, symmetric_arn: str) -> Iterator[None]:
    """The two aliases of the guide."""
    client = kms.client()
    names = {"alias/e2ee": rsa_arn, "alias/hashes": symmetric_arn}
    for name, arn in names.items():
        client.create_alias(AliasName=name, TargetKeyId=arn)
    kms.reset()
    yield
    for name in names:
        client.delete_alias(AliasName=name)


@pytest.mark.usefixtures("_aliases")
@pytest.mark.parametrize("role", ROLES)
def test_a_policy_allows_what_its_role_calls_and_no_more(kms: KmsEmulator, role: str) -> None:
    """The operations that arrive are the actions of the policy, both ways."""
    ROLES[role](kms)
    called = {call.operation for call in kms.calls}
    needed = set().union(*(IAM_ACTIONS.get(operation, {f"kms:{operation}"}) for operation in called))
    assert needed == set().union(*map(actions, statements(role)))


def test_every_operation_of_the_backend_has_a_role() -> None:
    """What the code can call is allowed to somebody, and nothing is allowed that it cannot."""
    allowed = set().union(*(actions(statement) for role in ROLES for statement in statements(role)))
    assert allowed == set().union(*(IAM_ACTIONS.get(name, {f"kms:{name}"}) for name in _METHODS))


@pytest.mark.parametrize("role", ROLES)
def test_a_policy_has_no_wild_cards_but_where_aws_wants_them(role: str) -> None:
    """Actions are whole names; the resource is any key only for what names none."""
    for statement in statements(role):
        assert statement["Effect"] == "Allow"
        assert all(re.fullmatch(r"kms:[A-Za-z]+", action) for action in actions(statement))
        assert (statement["Resource"] == "*") == (
            actions(statement) <= {"kms:CreateKey", "kms:ListAliases", "kms:ListKeys"}
        )


def test_the_administrator_may_make_the_aliases_of_the_guide() -> None:
    """Whoever follows the guide under its own policy is not refused."""
    (allowed,) = (part["Resource"] for part in statements("Key administrator") if part["Sid"] == "Aliases")
    assert isinstance(allowed, list)
    pattern = r"^\$ sealpass keys create 'awskms:key-id=(alias/[a-z0-9]+);region=([a-z0-9-]+)'"
    made = set(re.findall(pattern, GUIDE, re.MULTILINE))
    assert len(made) == 2
    for name, region in made:
        arn = f"arn:aws:kms:{region}:111122223333:{name}"
        assert any(fnmatch.fnmatchcase(arn, resource) for resource in allowed)


@pytest.mark.usefixtures("_aliases")
def test_the_example_runs(kms: KmsEmulator, capsys: pytest.CaptureFixture[str]) -> None:
    """As it is printed."""
    block = re.search(r"```python\n(.*?)```", GUIDE, re.DOTALL)
    assert block is not None
    exec(block[1], {})  # noqa: S102 - our own documentation
    assert "RSA-OAEP-256" in capsys.readouterr().out


def test_every_attribute_is_in_the_table_with_its_default() -> None:
    """No attribute more, none less."""
    rows = dict(re.findall(r"^\| `([a-z-]+)` \| (.*?) \|", GUIDE, re.MULTILINE))
    assert set(rows) == ATTRIBUTES.path | ATTRIBUTES.query
    for name, default in {
        "retry-mode": f"`{settings.DEFAULT_RETRY_MODE}`",
        "max-attempts": settings.DEFAULT_MAX_ATTEMPTS,
        "connect-timeout": settings.DEFAULT_CONNECT_TIMEOUT,
        "read-timeout": settings.DEFAULT_READ_TIMEOUT,
        "max-connections": settings.DEFAULT_MAX_CONNECTIONS,
        "alias-interval": settings.DEFAULT_ALIAS_INTERVAL,
    }.items():
        assert rows[name] == (default if isinstance(default, str) else f"{default:g}")
