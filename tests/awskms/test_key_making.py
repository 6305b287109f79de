# SPDX-License-Identifier: Apache-2.0
"""Making and listing keys in KMS, and moving aliases."""

import uuid
from collections.abc import Callable
from typing import cast

import pytest
from botocore import exceptions as boto
from botocore.awsrequest import AWSPreparedRequest

from sealpass.backends.awskms import key_making
from sealpass.backends.awskms.client import Connection, connect, leave
from sealpass.backends.awskms.key_making import KmsKeyMaker
from sealpass.backends.awskms.rsa_key import KmsRsaKey
from sealpass.backends.awskms.symmetric_key import KmsSymmetricKey
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    Error,
    KeyNotFound,
    UnsupportedAlgorithm,
)
from sealpass.core.protocols import AliasPointer
from sealpass.core.uri import KeyUri
from tests.support.kms_emulator import REGION, KmsEmulator, text

NATIVE = UnwrapMode.NATIVE


def maker_of(uri: str) -> KmsKeyMaker:
    """The maker for a URI."""
    return cast("KmsKeyMaker", key_maker(uri))


@pytest.fixture
def alias() -> str:
    """The name of an alias that no test has yet."""
    return f"alias/{uuid.uuid4()}"


def number_of_keys(kms: KmsEmulator) -> int:
    """All keys of the account."""
    return len(kms.client().list_keys()["Keys"])


@pytest.mark.parametrize("spelling", ["alias", "alias ARN"])
def test_a_new_rsa_key_answers_to_its_alias(kms: KmsEmulator, alias: str, spelling: str) -> None:
    """The URI that comes back is the one that was given, and opens the key."""
    name = alias if spelling == "alias" else f"arn:aws:kms:{REGION}:{kms.account.account_id}:{alias}"
    made = maker_of(f"awskms:key-id={name};region={REGION}").create_rsa(2048, NATIVE)
    assert made == KeyUri.parse(f"awskms:key-id={name};region={REGION}")
    with open_key(made) as key:
        assert isinstance(key, KmsRsaKey)
        assert key.public_jwk.bits == 2048


def test_without_an_alias_the_key_is_named_by_its_id(kms: KmsEmulator) -> None:
    """And no alias is made."""
    kms.reset()
    made = maker_of(f"awskms:region={REGION}?max-attempts=2").create_aes(256)
    assert kms.count("CreateAlias") == 0
    with open_key(made) as key:
        assert isinstance(key, KmsSymmetricKey)
        assert made.text("key-id") == key.key_id
    assert made.text("max-attempts") == "2"


@pytest.mark.parametrize("bits", [3072, 4096])
def test_an_rsa_key_has_the_size_that_was_asked_for(kms: KmsEmulator, bits: int) -> None:
    """Each size of RSA that KMS has."""
    with open_key(maker_of(f"awskms:region={REGION}").create_rsa(bits, NATIVE)) as key:
        assert isinstance(key, KmsRsaKey)
        assert key.public_jwk.bits == bits


@pytest.mark.parametrize(
    ("make", "kind"),
    [
        (lambda maker: maker.create_rsa(1024, NATIVE), ConfigError),
        (lambda maker: maker.create_rsa(8192, NATIVE), ConfigError),
        (lambda maker: maker.create_rsa(2048, UnwrapMode.IN_TOKEN), UnsupportedAlgorithm),
        (lambda maker: maker.create_rsa(2048, UnwrapMode.SOFTWARE), UnsupportedAlgorithm),
        (lambda maker: maker.create_rsa(2048, NATIVE, self_signed=True), UnsupportedAlgorithm),
        (lambda maker: maker.create_aes(128), UnsupportedAlgorithm),
        (lambda maker: maker.import_rsa(b"pem", NATIVE), UnsupportedAlgorithm),
    ],
    ids=["1024", "8192", "in-token", "software", "self-signed", "AES-128", "import"],
)
def test_what_kms_cannot_make_is_refused(
    kms: KmsEmulator, make: Callable[[KmsKeyMaker], object], kind: type[Error]
) -> None:
    """With a next step, and before any call."""
    with pytest.raises(kind) as caught:
        make(maker_of(f"awskms:region={REGION}"))
    assert caught.value.hint
    assert not kms.calls


@pytest.mark.parametrize("key_id", ["1234abcd-12ab-34cd-56ef-1234567890ab", f"arn:aws:kms:{REGION}:111122223333:key/x"])
def test_a_new_key_cannot_choose_its_id(kms: KmsEmulator, key_id: str) -> None:
    """A URI that names a key by its id is no place for a new one."""
    maker = maker_of(f"awskms:key-id={key_id};region={REGION}")
    with pytest.raises(ConfigError, match="not an alias"):
        maker.create_aes(256)
    with pytest.raises(ConfigError, match="not an alias"):
        maker.point_alias(KeyUri("awskms", {}))
    assert not kms.calls


def test_reserved_aliases_are_refused(kms: KmsEmulator, symmetric_arn: str) -> None:
    """alias/aws/… belongs to AWS; no key is made first."""
    maker = maker_of(f"awskms:key-id=alias/aws/mine;region={REGION}")
    with pytest.raises(ConfigError, match="reserved"):
        maker.create_aes(256)
    with pytest.raises(ConfigError, match="reserved"):
        maker.point_alias(KeyUri.parse(f"awskms:key-id={symmetric_arn}"))
    assert not kms.calls


def test_an_alias_is_never_taken_over(kms: KmsEmulator, alias: str) -> None:
    """Where it names a key already, nothing is made."""
    maker = maker_of(f"awskms:key-id={alias};region={REGION}")
    maker.create_aes(256)
    before = number_of_keys(kms)
    with pytest.raises(ConfigError, match="exists already"):
        maker.create_rsa(2048, NATIVE)
    assert number_of_keys(kms) == before


def test_a_key_whose_alias_fails_is_not_left_behind(kms: KmsEmulator, alias: str) -> None:
    """Its deletion is scheduled, and the error says so and stays what it was."""
    kms.fail("CreateAlias", "LimitExceededException", 3)
    with pytest.raises(BackendUnavailable, match=r"resource quota.*will be deleted in 7 days"):
        maker_of(f"awskms:key-id={alias};region={REGION}?max-attempts=1").create_aes(256)
    client = kms.client()
    newest = client.list_keys()["Keys"][-1]["KeyId"]
    assert client.describe_key(KeyId=newest)["KeyMetadata"]["KeyState"] == "PendingDeletion"


def test_a_key_that_cannot_be_removed_either_is_named(kms: KmsEmulator, alias: str) -> None:
    """Somebody must know what to delete by hand: a key costs money every month."""
    kms.fail("CreateAlias", "AccessDeniedException", 1)
    kms.fail("ScheduleKeyDeletion", "AccessDeniedException", 1)
    with pytest.raises(AuthenticationFailed, match="AWS KMS refuses") as caught:
        maker_of(f"awskms:key-id={alias};region={REGION}").create_aes(256)
    newest = kms.client().list_keys()["Keys"][-1]["KeyId"]
    assert f"delete {newest} by hand" in str(caught.value)
    assert "kms:CreateAlias" in caught.value.hint


def test_an_alias_whose_answer_was_lost_keeps_its_key(kms: KmsEmulator, alias: str) -> None:
    """boto3's second attempt is told that the alias exists; it names the new key, which is not taken back."""
    maker = maker_of(f"awskms:key-id={alias};region={REGION}")
    lost: list[str] = []

    def lose(request: AWSPreparedRequest, **_: object) -> None:
        target = request.headers["X-Amz-Target"]
        if (target if isinstance(target, str) else target.decode()).endswith(".CreateAlias") and not lost:
            lost.append(alias)
            kms.answer(request.headers, text(request.body))
            raise boto.ConnectionClosedError(endpoint_url=request.url)

    connection = connect(maker._settings)
    connection.client.meta.events.register_first("before-send.kms", lose)
    uri = maker.create_aes(256)
    leave(connection)
    assert lost
    assert kms.count("CreateAlias") == 2
    assert kms.count("ScheduleKeyDeletion") == 0
    with open_key(uri) as key:
        assert isinstance(key, KmsSymmetricKey)


def test_making_a_key_may_take_longer_than_a_login(kms: KmsEmulator) -> None:
    """A pair of 4096 bits is not given up after the 3 s of a login, nor a time-out of the user's shortened."""
    assert maker_of(f"awskms:region={REGION}")._settings.read_timeout == key_making.LEAST_READ_TIMEOUT
    assert maker_of(f"awskms:region={REGION}?read-timeout=99")._settings.read_timeout == 99


# -- aliases ------------------------------------------------------------------------------------------------------


def test_an_alias_is_made_and_moved(kms: KmsEmulator, alias: str) -> None:
    """CreateAlias the first time, UpdateAlias the next, nothing where it is right already."""
    maker = maker_of(f"awskms:key-id={alias};region={REGION}")
    assert isinstance(maker, AliasPointer)
    first, second = (KeyUri.parse(f"awskms:key-id={kms.create_symmetric()}") for _ in range(2))
    kms.reset()
    before: KeyUri | None = None
    for target, calls in ((first, (1, 0)), (first, (1, 0)), (second, (1, 1))):
        pointed = maker.point_alias(target, create=True)
        assert (pointed.name, str(pointed.uri)) == (alias, f"awskms:key-id={alias};region={REGION}")
        assert (kms.count("CreateAlias"), kms.count("UpdateAlias")) == calls
        key_id = str(target.text("key-id")).rpartition("/")[2]
        assert str(pointed.target) == f"awskms:key-id={key_id};region={REGION}"
        assert pointed.previous == before
        before = pointed.target
        with open_key(pointed.uri) as key:
            assert key.key_id == key_id


def test_an_alias_can_follow_another_alias_once(kms: KmsEmulator, alias: str) -> None:
    """The target may be named by an alias; what is stored is the key."""
    target = maker_of(f"awskms:key-id={alias}-target;region={REGION}").create_aes(256)
    pointed = maker_of(f"awskms:key-id={alias};region={REGION}").point_alias(target, create=True)
    with open_key(pointed.uri) as first, open_key(target) as second:
        assert first.key_id == second.key_id


def test_an_alias_stays_with_its_kind_of_key(kms: KmsEmulator, alias: str, rsa_arn: str) -> None:
    """A symmetric key's alias does not become that of an RSA key; KMS is not asked to."""
    maker = maker_of(f"awskms:key-id={alias};region={REGION}")
    maker.create_aes(256)
    kms.reset()
    with pytest.raises(ConfigError, match=r"SYMMETRIC_DEFAULT.*RSA_2048"):
        maker.point_alias(KeyUri.parse(f"awskms:key-id={rsa_arn}"))
    assert kms.count("UpdateAlias") == 0


def test_an_alias_moves_to_a_longer_rsa_key(kms: KmsEmulator, alias: str) -> None:
    """UpdateAlias wants the same type and use, not the same length: that is how 2048 bits are left behind."""
    maker = maker_of(f"awskms:key-id={alias};region={REGION}")
    maker.create_rsa(2048, NATIVE)
    longer = maker_of(f"awskms:region={REGION}").create_rsa(3072, NATIVE)
    with open_key(maker.point_alias(longer).uri) as key:
        assert isinstance(key, KmsRsaKey)
        assert key.public_jwk.bits == 3072


def test_an_alias_points_to_a_key_that_works(kms: KmsEmulator, alias: str) -> None:
    """Not to one that is not there, disabled, of another Region or of another family."""
    arn = kms.create_symmetric()
    kms.client().disable_key(KeyId=arn)
    maker = maker_of(f"awskms:key-id={alias};region={REGION}")
    for target, kind in (
        (f"awskms:key-id={arn}", BackendUnavailable),
        ("awskms:key-id=alias/none", KeyNotFound),
        (f"awskms:key-id={arn.replace(REGION, 'us-east-1')}", ConfigError),
        ("software:path=key.pem", ConfigError),
        (f"awskms:region={REGION}", ConfigError),
    ):
        with pytest.raises(kind):
            maker.point_alias(KeyUri.parse(target))
    assert kms.count("CreateAlias") == kms.count("UpdateAlias") == 0


def test_an_alias_with_a_typing_error_is_not_made(kms: KmsEmulator, alias: str, symmetric_arn: str) -> None:
    """A move that makes a new alias would look like a rotation, and no server would follow it."""
    maker = maker_of(f"awskms:key-id={alias};region={REGION}")
    with pytest.raises(ConfigError, match=f"no {alias} in {REGION}") as caught:
        maker.point_alias(KeyUri.parse(f"awskms:key-id={symmetric_arn}"))
    assert "--create" in caught.value.hint
    assert kms.count("CreateAlias") == 0


def test_the_key_before_opens_by_what_the_move_answers(kms: KmsEmulator, alias: str) -> None:
    """Also where the alias's URI is an ARN, which says the Region: it is what a ring's ``previous`` needs."""
    maker_of(f"awskms:key-id={alias};region=us-west-2").create_aes(256)
    with open_key(f"awskms:key-id={alias};region=us-west-2") as key:
        old = key.key_id
    new = maker_of("awskms:region=us-west-2").create_aes(256)
    named = f"awskms:key-id=arn:aws:kms:us-west-2:{kms.account.account_id}:{alias}?max-attempts=2"
    pointed = maker_of(named).point_alias(new)
    assert str(pointed.previous) == f"awskms:key-id={old};region=us-west-2?max-attempts=2"
    with open_key(str(pointed.previous)) as key:
        assert key.key_id == old


# -- listing ------------------------------------------------------------------------------------------------------


def test_the_one_key_of_a_uri_is_listed(kms: KmsEmulator, rsa_arn: str, symmetric_arn: str) -> None:
    """With its thumbprint or id; the URI is the one that was given."""
    with open_key(f"awskms:key-id={rsa_arn}") as key:
        thumbprint = key.key_id
    (rsa,) = maker_of(f"awskms:key-id={rsa_arn}").list_keys()
    assert (str(rsa.uri), rsa.kind, rsa.key_id, rsa.modes) == (
        f"awskms:key-id={rsa_arn}",
        "RSA-2048",
        thumbprint,
        (NATIVE,),
    )
    (aes,) = maker_of(f"awskms:key-id={symmetric_arn}").list_keys()
    assert (aes.kind, aes.key_id, aes.modes) == ("AES-256", symmetric_arn.rpartition("/")[2], ())


def test_a_listing_shows_aliases(kms: KmsEmulator, alias: str) -> None:
    """Of one key with one question about it, of a Region with one about all; those of other keys stay theirs."""
    region = "eu-south-1"
    maker = maker_of(f"awskms:region={region}")
    named, _ = maker.create_aes(256), maker.create_aes(256)
    names = tuple(sorted((alias, f"{alias}-too")))
    for name in names:
        maker_of(f"awskms:key-id={name};region={region}").point_alias(named, create=True)
    kms.reset()
    assert [key.aliases for key in maker_of(str(named)).list_keys()] == [names]
    found = {str(key.uri): key.aliases for key in maker.list_keys()}
    assert found.pop(str(named)) == names
    assert list(found.values()) == [()]
    assert kms.count("ListAliases") == 2


def test_a_listing_without_the_right_to_list_aliases(
    kms: KmsEmulator, symmetric_arn: str, caplog: pytest.LogCaptureFixture
) -> None:
    """The key is listed all the same, and a warning names the right."""
    kms.fail("ListAliases", "AccessDeniedException", 1)
    (found,) = maker_of(f"awskms:key-id={symmetric_arn}").list_keys()
    assert found.aliases == ()
    assert "aliases are not shown: AWS KMS refuses ListAliases" in caplog.text


REGION_OF_LISTS = "eu-west-3"


def test_all_usable_keys_of_account_and_region_are_listed(kms: KmsEmulator, caplog: pytest.LogCaptureFixture) -> None:
    """Each with a URI that opens it; keys for other uses, disabled ones and denied ones are counted in a warning."""
    client = kms.client(region_name=REGION_OF_LISTS)
    symmetric = client.create_key()["KeyMetadata"]["KeyId"]
    rsa = client.create_key(KeySpec="RSA_2048", KeyUsage="ENCRYPT_DECRYPT")["KeyMetadata"]["KeyId"]
    client.create_key(KeySpec="ECC_NIST_P256", KeyUsage="SIGN_VERIFY")
    for _ in range(2):
        client.disable_key(KeyId=client.create_key()["KeyMetadata"]["KeyId"])
    client.schedule_key_deletion(KeyId=client.create_key()["KeyMetadata"]["KeyId"], PendingWindowInDays=7)
    maker = maker_of(f"awskms:region={REGION_OF_LISTS}")
    found = {listing.uri.text("key-id"): listing for listing in maker.list_keys()}
    assert {(name, listing.kind) for name, listing in found.items()} == {(symmetric, "AES-256"), (rsa, "RSA-2048")}
    (message,) = caplog.messages
    assert message.startswith(f"keys of {REGION_OF_LISTS} that are not shown: 2 Disabled, 1 PendingDeletion, ")
    assert message.endswith(", 1 made for another use than RSA or symmetric encryption")
    for listing in found.values():
        with open_key(listing.uri) as key:
            assert key.key_id == listing.key_id
    kms.fail("DescribeKey", "AccessDeniedException", 1)
    caplog.clear()
    assert len(list(maker.list_keys())) == 1
    assert ", 1 not to be described with these credentials" in caplog.text
    kms.fail("DescribeKey", "AccessDeniedException", 6)
    with pytest.raises(AuthenticationFailed):
        maker.list_keys()


def test_a_list_of_several_pages_is_read_to_its_end(kms: KmsEmulator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The emulator has one page; here its answer is cut in two."""
    whole = [{"KeyArn": kms.create_symmetric()} for _ in range(2)]
    names = [
        {"AliasName": name, "TargetKeyId": key["KeyArn"].rpartition("/")[2]}
        for name, key in zip(("alias/a", "alias/b"), whole, strict=True)
    ]
    asked: list[object] = []
    call = Connection.call

    def paged(self: Connection, operation: str, deadline: None = None, **parameters: object) -> object:
        pages = {"ListKeys": ("Keys", whole), "ListAliases": ("Aliases", names)}
        if operation not in pages:
            return call(self, operation, deadline, **parameters)
        asked.append((operation, parameters["Limit"], parameters.get("Marker")))
        name, entries = pages[operation]
        if parameters.get("Marker") == "next":
            return {name: entries[1:], "Truncated": False}
        return {name: entries[:1], "Truncated": True, "NextMarker": "next"}

    monkeypatch.setattr(Connection, "call", paged)
    assert [key.aliases for key in maker_of(f"awskms:region={REGION}").list_keys()] == [("alias/a",), ("alias/b",)]
    # The limits are the most that KMS takes: https://docs.aws.amazon.com/kms/latest/APIReference/API_ListAliases.html
    assert asked == [
        ("ListKeys", 1000, None),
        ("ListKeys", 1000, "next"),
        ("ListAliases", 100, None),
        ("ListAliases", 100, "next"),
    ]
