# SPDX-License-Identifier: Apache-2.0
"""What would take minutes is refused before it begins. Nothing here measures time."""

import os
from datetime import UTC, datetime
from pathlib import Path

import pytest
from asn1crypto import algos, core, keys, pkcs12, x509

from sealpass.backends.keystore import der, pbe, private_key
from sealpass.backends.keystore.data_input import DataInput
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.errors import ConfigError, OperatorError, UnsupportedAlgorithm
from tests.keystore.conftest import STORES, store_uri
from tests.keystore.crafting import (
    JCEKS,
    authenticated_safe,
    bag,
    block,
    certificate_bag,
    data,
    encrypted_parts,
    entry,
    legacy,
    mac_data,
    number,
    pbes2,
    pfx,
    shrouded,
    store_of,
    sun_store,
    text,
)

LONG_IDENTIFIER = b"\x06\x41\x2a" + bytes([0x81] * 63) + b"\x01"
LONG_TAG = b"\x1f\x81\x01\x00"


def _refusal(content: bytes, tmp_path: Path, alias: str = "key") -> OperatorError:
    (tmp_path / "store").write_bytes(content)
    with pytest.raises(OperatorError) as caught:
        open_key(store_uri(tmp_path / "store", alias))
    return caught.value


def _never(*_: object, **__: object) -> None:
    pytest.fail("asn1crypto was called")


def _sequence(*elements: bytes) -> bytes:
    return bytes(core.Sequence(contents=b"".join(elements)).dump())


@pytest.mark.parametrize(
    "element", [LONG_IDENTIFIER, LONG_TAG, b"\x04\x80\x00\x00", b"\x04\x03ab", b"\x30\x80\x05\x00"]
)
def test_elements_of_odd_shape_never_reach_asn1crypto(element: bytes) -> None:
    """Long identifiers and tags take it the square of their length; the others do not fit into what is around them."""

    class Never:
        load = staticmethod(_never)

    for octets in (element, _sequence(element), b"\x30\x80" + element + b"\x00\x00", b"\x30\x02" + element):
        if octets[:2] == b"\x30\x80" and element == b"\x30\x80\x05\x00":
            octets = octets[:-2]  # noqa: PLW2901 - else the end of the outer one is the end of the inner one
        with pytest.raises((ValueError, LookupError)):
            der.load(Never, octets)


def test_elements_of_good_shape_reach_asn1crypto() -> None:
    """Also an identifier of 64 octets, one level less than too many, and elements without a length, as BER has them."""
    identifier = b"\x06\x40\x2a" + bytes([0x81] * 62) + b"\x01"
    octets = b"\x30\x80" + _sequence(identifier) + b"\x24\x80\x04\x01a\x00\x00" + b"\x00\x00"
    assert len(der.load(core.SequenceOf, octets, spec=core.Any)) == 2
    deep = b"\x05\x00"
    for _ in range(der.MAX_NESTING):
        deep = _sequence(deep)
    assert der.load(core.Any, deep).dump() == deep
    with pytest.raises(ValueError, match="nested"):
        der.load(core.Any, _sequence(deep))


@pytest.mark.parametrize("store", ["modern.p12", "legacy.p12", "per-entry.p12", "others.p12", "expired.p12"])
def test_what_java_writes_has_a_good_shape(store: str) -> None:
    """The check refuses no store of keytool's."""
    content = (STORES / store).read_bytes()
    assert der.load(pkcs12.Pfx, content).dump() == content


@pytest.mark.parametrize("where", ["outside", "safe", "bag"])
def test_a_long_identifier_in_a_store_is_refused_wherever_it_stands(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Before the MAC, by anybody who can write the file; behind it, by whoever knows the store password."""
    match where:
        case "outside":
            monkeypatch.setattr(pkcs12.Pfx, "load", _never)
            store = _sequence(b"\x02\x01\x03", _sequence(LONG_IDENTIFIER, b"\xa0\x02\x04\x00"))
        case "safe":
            monkeypatch.setattr(pkcs12.AuthenticatedSafe, "load", _never)
            safe = _sequence(_sequence(LONG_IDENTIFIER))
            store = pfx(safe, mac_data(safe))
        case _:
            monkeypatch.setattr(pkcs12.SafeContents, "load", _never)
            part = _sequence(_sequence(LONG_IDENTIFIER, b"\xa0\x02\x05\x00"))
            safe = _sequence(data(part).dump())
            store = pfx(safe, mac_data(safe))
    assert "damaged" in str(_refusal(store, tmp_path))


def test_a_long_tag_in_the_parameters_of_a_jceks_entry_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They come from a Java object, and have no limit of their own."""
    names = ("encodedParams", "encryptedContent", "paramsAlg", "sealAlg")
    fields = b"".join(
        (b"[" if name in names[:2] else b"L") + text(name) + b"\x74" + text("[B" if name in names[:2] else "S")
        for name in names
    )
    described = b"\x72" + text("javax.crypto.SealedObject") + bytes(8) + b"\x02\x00\x04" + fields + b"\x78\x70"
    octets = b"\x72" + text("[B") + bytes(8) + b"\x02\x00\x00\x78\x70"
    values = b"\x75" + octets + block(_sequence(LONG_TAG)) + b"\x75" + octets + block(bytes(8))
    values += 2 * (b"\x74" + text("PBEWithMD5AndTripleDES"))
    store = sun_store(JCEKS, entry(3, "key", b"\xac\xed\x00\x05\x73" + described + values))
    (tmp_path / "store").write_bytes(store)
    monkeypatch.setattr(algos.Pbes1Params, "load", _never)
    with pytest.raises(ConfigError, match="damaged"):
        open_key(store_uri(tmp_path / "store", "key", key_id="k"))


def test_the_limit_of_iterations_is_for_all_parts_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Sixteen parts would take sixteen times as long."""
    monkeypatch.setattr(pbe, "decrypt", None)
    for parts in ([pbes2(3_000_000)] * 2, [legacy("pkcs12_sha1_rc2_40", 3_000_000), pbes2(3_000_000)]):
        assert "iterations" in str(_refusal(encrypted_parts(parts), tmp_path))


def _rsa_bag(**numbers: int) -> pkcs12.SafeBag:
    small = dict.fromkeys(("modulus", "private_exponent", "prime1", "prime2", "exponent1", "exponent2"), 3)
    members = {"version": "two-prime", "public_exponent": 65537, "coefficient": 3} | small | numbers
    identifier = {"algorithm": "rsa", "parameters": core.Null()}
    return bag(
        "key_bag",
        keys.PrivateKeyInfo(
            {"version": 0, "private_key_algorithm": identifier, "private_key": keys.RSAPrivateKey(members)}
        ),
        "key",
    )


@pytest.mark.parametrize("name", ["modulus", "prime1", "prime2", "public_exponent"])
def test_an_rsa_key_of_absurd_numbers_is_refused_before_cryptography_tests_its_primes(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A prime of 10,000 bits takes it a minute, one of 20,000 far more."""
    monkeypatch.setattr(private_key, "load_der_private_key", None)
    error = _refusal(store_of(_rsa_bag(**{name: 2**8200 + 1})), tmp_path)
    assert isinstance(error, UnsupportedAlgorithm)
    assert "over 8192 bits" in str(error)


def test_another_kind_of_key_is_refused_before_cryptography_sees_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Diffie-Hellman, which asn1crypto does not know; a password would be blamed in vain."""
    monkeypatch.setattr(private_key, "load_der_private_key", None)
    identifier = _sequence(core.ObjectIdentifier("1.2.840.113549.1.3.1").dump())
    key = _sequence(core.Integer(0).dump(), identifier, core.OctetString(core.Integer(3).dump()).dump())
    tagged = b"\xa0" + bytes([len(key)]) + key
    safe = _sequence(data(_sequence(_sequence(pkcs12.BagId("key_bag").dump(), tagged))).dump())
    assert "'1' is not an RSA key that may decrypt" in str(_refusal(pfx(safe, mac_data(safe)), tmp_path, "1"))


def test_a_certificate_of_another_kind_of_key_is_not_looked_at(tmp_path: Path) -> None:
    """A list of keys needs no warning of cryptography's against Diffie-Hellman. A warning is an error here."""
    key = bag("pkcs8_shrouded_key_bag", shrouded(pbes2(1)), "key")
    (tmp_path / "store").write_bytes(store_of(key, certificate_bag(_diffie_hellman_certificate(), name="key")))
    (found,) = key_maker(store_uri(tmp_path / "store")).list_keys()
    assert (found.kind, found.key_id) == ("private key", None)


def _diffie_hellman_certificate() -> bytes:
    prime = int(
        "FFFFFFFFFFFFFFFFC90FDAA22168C234C4C6628B80DC1CD129024E088A67CC74020BBEA63B139B22514A08798E3404DD"
        "EF9519B3CD3A431B302B0A6DF25F14374FE1356D6D51C245E485B576625E7EC6F44C42E9A637ED6B0BFF5CB6F406B7ED"
        "EE386BFB5A899FA5AE9F24117C4B1FE649286651ECE65381FFFFFFFFFFFFFFFF",
        16,
    )  # RFC 2409 section 6.2
    parameters = _sequence(core.Integer(prime).dump(), core.Integer(2).dump())
    identifier = _sequence(core.ObjectIdentifier("1.2.840.113549.1.3.1").dump(), parameters)
    public_key = _sequence(identifier, core.OctetBitString(core.Integer(4).dump()).dump())
    name = _sequence()
    sha256_with_rsa = _sequence(core.ObjectIdentifier("1.2.840.113549.1.1.11").dump(), core.Null().dump())
    days = [x509.Time({"utc_time": datetime(year, 1, 1, tzinfo=UTC)}).dump() for year in (2020, 2040)]
    version, serial = b"\xa0\x03\x02\x01\x02", core.Integer(1).dump()
    signed = _sequence(version, serial, sha256_with_rsa, name, _sequence(*days), name, public_key)
    return _sequence(signed, sha256_with_rsa, core.OctetBitString(bytes(256)).dump())


@pytest.mark.parametrize(
    "scheme", ["keystore:path={};alias=x?store-pass-source=env:STORE_PASSWORD", "software:path={}"]
)
def test_what_is_no_regular_file_is_not_read(scheme: str, tmp_path: Path) -> None:
    """Opening a pipe would wait for a writer, and a device has no end."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(ConfigError, match="not a regular file"):
            open_key(scheme.format(path))


def test_a_key_file_of_over_64_kib_is_refused(tmp_path: Path) -> None:
    """No PEM and no JWK has as much."""
    (tmp_path / "key.pem").write_bytes(b" " * (64 * 1024 + 1))
    with pytest.raises(ConfigError, match="over 64 KiB"):
        open_key(f"software:path={tmp_path / 'key.pem'}")


def test_an_alias_with_nul_does_not_make_a_store_unreadable(tmp_path: Path) -> None:
    """Java writes that character as two octets which are no UTF-8."""
    alias = b"\x00\x03a\xc0\x80"
    certificate = number(2) + alias + bytes(8) + text("X.509") + block(b"")
    (tmp_path / "store").write_bytes(sun_store(JCEKS, certificate))
    assert "no entry 'key'" in str(_refusal(sun_store(JCEKS, certificate), tmp_path))


@pytest.mark.parametrize("octets", [b"\x00\x01\xff", b"\x00\x03\xed\xa0\x80"])
def test_the_error_of_a_string_does_not_carry_its_octets(octets: bytes) -> None:
    """They may be those of a decrypted key: UnicodeError has them as a member, and stays in contexts."""
    with pytest.raises(ValueError, match="modified UTF-8") as caught:
        DataInput(octets).text()
    assert not isinstance(caught.value, UnicodeError)
    assert caught.value.__context__ is None


def test_an_empty_safe_still_opens_as_a_store(tmp_path: Path) -> None:
    """The checks above are about shape, not about content."""
    safe = authenticated_safe()
    assert "no entry" in str(_refusal(pfx(safe, mac_data(safe)), tmp_path))
