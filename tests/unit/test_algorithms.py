# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from sealpass.core.algorithms import (
    CONTENT_ENCRYPTIONS,
    ENC_BY_JWE_NAME,
    OAEP_BY_JWE_NAME,
    OAEP_VARIANTS,
    RSA_OAEP,
    RSA_OAEP_256,
    RSA_OAEP_256_MGF1_SHA1,
    RSA_OAEP_512,
    ContentEncryption,
    Hash,
    RsaOaep,
)
from sealpass.core.capabilities import Capabilities

# RFC 7518 sections 5.2 and 5.3: bytes of CEK, IV and tag.
SIZES = {
    "A128GCM": (16, 12, 16),
    "A192GCM": (24, 12, 16),
    "A256GCM": (32, 12, 16),
    "A128CBC-HS256": (32, 16, 16),
    "A192CBC-HS384": (48, 16, 24),
    "A256CBC-HS512": (64, 16, 32),
}


def test_content_encryptions_have_the_sizes_of_the_rfc() -> None:
    """Lengths are checked against these before a key is used."""
    assert {enc.name: (enc.cek_bytes, enc.iv_bytes, enc.tag_bytes) for enc in CONTENT_ENCRYPTIONS} == SIZES
    assert {name: enc.name for name, enc in ENC_BY_JWE_NAME.items()} == {name: name for name in SIZES}


@pytest.mark.parametrize("enc", CONTENT_ENCRYPTIONS, ids=str)
def test_gcm_is_told_from_cbc(enc: ContentEncryption) -> None:
    """The two families are decrypted differently."""
    assert enc.is_gcm == enc.name.endswith("GCM")


def test_accepted_algs_are_the_two_of_the_contract() -> None:
    """Neither RSA1_5 nor a longer OAEP nor a symmetric alg is known to the parser."""
    assert OAEP_BY_JWE_NAME == {"RSA-OAEP": RSA_OAEP, "RSA-OAEP-256": RSA_OAEP_256}


@pytest.mark.parametrize(("name", "hash_"), [("RSA-OAEP", Hash.SHA1), ("RSA-OAEP-256", Hash.SHA256)])
def test_jwe_algs_use_one_hash_twice(name: str, hash_: Hash) -> None:
    """RFC 7518 section 4.3: MGF1 uses the same hash as OAEP."""
    assert OAEP_BY_JWE_NAME[name] == RsaOaep(hash_, hash_)
    assert OAEP_BY_JWE_NAME[name].jwe_name == name


def test_the_java_default_has_no_jwe_name() -> None:
    """SHA-256 with MGF1-SHA-1 is kept to name the mistake, never to accept it."""
    assert RSA_OAEP_256_MGF1_SHA1.jwe_name is None
    assert RSA_OAEP_256_MGF1_SHA1 in OAEP_VARIANTS
    assert RSA_OAEP_256_MGF1_SHA1 not in OAEP_BY_JWE_NAME.values()


def test_mgf_hash_has_no_default() -> None:
    """A forgotten MGF hash is an error at the place where it was forgotten."""
    with pytest.raises(TypeError):
        RsaOaep(Hash.SHA256)  # type: ignore[call-arg]


@pytest.mark.parametrize(
    ("oaep", "room"), [(RSA_OAEP, 214), (RSA_OAEP_256, 190), (RSA_OAEP_512, 126), (RSA_OAEP_256_MGF1_SHA1, 190)]
)
def test_room_under_a_2048_bit_modulus(oaep: RsaOaep, room: int) -> None:
    """RFC 8017 section 7.1.1: k - 2 hLen - 2, whatever the MGF hash."""
    assert oaep.max_plaintext(256) == room


def test_values_are_frozen() -> None:
    """They are shared by every key of the process."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        RSA_OAEP.hash = Hash.SHA256  # type: ignore[misc]


def test_texts_are_for_people() -> None:
    """Reports name both hashes."""
    assert str(RSA_OAEP_256_MGF1_SHA1) == "RSA-OAEP(SHA-256, MGF1 SHA-1)"
    assert str(ENC_BY_JWE_NAME["A256GCM"]) == "A256GCM"


def test_refusal_names_what_the_key_can_do() -> None:
    """The operator sees what was asked and what would work."""
    can = Capabilities(unwrap=frozenset({RSA_OAEP}), content=frozenset({ENC_BY_JWE_NAME["A128GCM"]}))
    text = str(can.refuse_unwrap(RSA_OAEP_256, ENC_BY_JWE_NAME["A256GCM"]))
    assert text == (
        "this key does not unwrap RSA-OAEP(SHA-256, MGF1 SHA-256) with A256GCM;"
        " it does RSA-OAEP(SHA-1, MGF1 SHA-1) with A128GCM"
    )


def test_refusal_of_a_key_that_can_nothing_reads_well() -> None:
    """An AES key that is asked to unwrap says so in words, not with an empty list."""
    text = str(Capabilities().refuse_unwrap(RSA_OAEP, ENC_BY_JWE_NAME["A128GCM"]))
    assert text.endswith("it does no RSA-OAEP at all with no content encryption")
    assert "AES-GCM" in str(Capabilities().refuse_seal())
