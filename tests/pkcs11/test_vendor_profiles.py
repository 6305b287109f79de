# SPDX-License-Identifier: Apache-2.0
"""Which vendor profile is used: by name, by what file, library and token say, and what the URI may still say."""

import dataclasses
from pathlib import Path
from unittest.mock import patch

import pytest
from pkcs11.exceptions import PKCS11Error, SlotIDInvalid

from sealpass.backends import pkcs11
from sealpass.backends.pkcs11 import vendor_profiles
from sealpass.backends.pkcs11.connection import DEFAULT_MAX_SESSIONS
from sealpass.backends.pkcs11.library import ModuleSettings
from sealpass.backends.pkcs11.return_values import (
    CKR_DEVICE_ERROR,
    CKR_DEVICE_REMOVED,
    Answers,
    Meaning,
    session_limit_errors,
    translate,
)
from sealpass.backends.pkcs11.rsa_key import InTokenRsaKey, NativeRsaKey, RsaTokenKey
from sealpass.backends.pkcs11.token import signs_of
from sealpass.backends.pkcs11.vendor_profile import InitMode, Sign, VendorProfile
from sealpass.backends.pkcs11.vendor_profiles import DEFAULT, PROFILES, by_file, named, probed
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import BackendUnavailable, ConfigError, UnsupportedAlgorithm
from sealpass.core.uri import KeyUri
from tests.pkcs11.test_finding import rw_session
from tests.support.simulated_module import SimulatedSlot
from tests.support.soft_tokens import SoftToken

SOFT = {"softhsm2", "nss", "opencryptoki", "p11-kit-client"}


@pytest.mark.parametrize("profile", PROFILES[1:], ids=lambda profile: profile.name)
def test_every_profile_names_its_sources(profile: VendorProfile) -> None:
    """Each has sources, and says that it is untested on hardware unless it was run here."""
    assert profile.sources
    assert all(source.about and source.where for source in profile.sources)
    assert session_limit_errors(profile.session_limit)
    assert (profile.status == "untested on hardware") is (profile.name not in SOFT)


def test_names_are_unique() -> None:
    """A name means one profile, and every profile answers to its own."""
    assert [named(profile.name) for profile in PROFILES] == list(PROFILES)


def test_the_default_profile_presumes_nothing() -> None:
    """Its values are the standard's: nothing is narrowed, the IV is ours, no code means something special."""
    plain = VendorProfile(name=DEFAULT.name, device=DEFAULT.device, notes=DEFAULT.notes)
    assert plain == DEFAULT


@pytest.mark.parametrize(
    ("sign", "text", "name"),
    [
        (Sign.LIBRARY, "Chrystoki", "luna"),
        (Sign.FILE, "libCryptoki2_64.so", "luna"),
        (Sign.TOKEN_MANUFACTURER, "nCipher Corp. Ltd", "nshield"),
        (Sign.FILE, "libcknfast.so", "nshield"),
        (Sign.LIBRARY_MANUFACTURER, "Cavium Networks", "cloudhsm"),
        (Sign.FILE, "libcloudhsm_pkcs11.so", "cloudhsm"),
        (Sign.LIBRARY, "YubiHSM PKCS#11 Library", "yubihsm2"),
        (Sign.TOKEN_MODEL, "YubiHSM", "yubihsm2"),
        (Sign.FILE, "libcs_pkcs11_R3.so", "utimaco"),
        (Sign.LIBRARY, "Cryptoki Library for Cloud KMS", "google-kms"),
        (Sign.FILE, "libkmsp11.so", "google-kms"),
        (Sign.FILE, "libopencryptoki.so", "opencryptoki"),
        (Sign.LIBRARY, "Meta PKCS11 LIBRARY", "opencryptoki"),
        (Sign.TOKEN_MODEL, "IBM SoftTok", "opencryptoki"),
        (Sign.TOKEN_MANUFACTURER, "SoftHSM project", "softhsm2"),
        (Sign.LIBRARY, "SafeNet eToken PKCS#11", "default"),
        (Sign.LIBRARY_MANUFACTURER, "Yubico (www.yubico.com)", "default"),
    ],
)
def test_what_they_say_of_themselves_chooses(sign: Sign, text: str, name: str) -> None:
    """The documented strings choose their profile; another product of the same maker does not."""
    choice = probed({sign: text})
    assert choice.profile.name == name
    assert name == "default" or choice.how == sign


@pytest.mark.parametrize(
    ("kind", "described"),
    [
        ("softhsm2", "softhsm2, chosen by library manufacturer; tested on SoftHSM 2.6.1"),
        ("nss", "nss, chosen by file name; tested on NSS softokn 3.87"),
        ("opencryptoki", "opencryptoki, chosen by file name; tested on the soft token of openCryptoki 3.8"),
        ("p11_kit", "softhsm2, chosen by token manufacturer; tested on SoftHSM 2.6.1"),
    ],
)
def test_soft_tokens_are_recognised_and_reports_say_so(
    request: pytest.FixtureRequest, kind: str, described: str
) -> None:
    """The description of a key names the profile, what it was chosen by (here p11-kit hides the library), its tests."""
    token: SoftToken = request.getfixturevalue(kind)
    with open_key(token.shared_key()) as key:
        assert isinstance(key, RsaTokenKey)
        assert key.describe()["vendor profile"] == described


@pytest.mark.parametrize("kind", ["softhsm2", "nss", "opencryptoki"])
def test_a_soft_token_is_recognised_under_any_file_name(request: pytest.FixtureRequest, kind: str) -> None:
    """What library and token say is enough: a module may be a copy or a proxy."""
    token: SoftToken = request.getfixturevalue(kind)
    with open_key(token.shared_key()) as key:
        assert isinstance(key, RsaTokenKey)
        signs = signs_of(key._connection.module, key._connection.slot.get_token())
    assert probed({**signs, Sign.FILE: "module.so"}).profile.name == kind


@pytest.mark.parametrize("meaning", Meaning)
def test_a_return_value_has_one_meaning(meaning: Meaning) -> None:
    """What a profile says of a value moves it out of its usual class; all others stay."""
    answers = Answers.of([(CKR_DEVICE_ERROR, meaning)])
    classes = {
        Meaning.LOST: answers.lost,
        Meaning.TROUBLE: answers.trouble,
        Meaning.REFUSED_INPUT: answers.refused_input,
    }
    assert [name for name, values in classes.items() if CKR_DEVICE_ERROR in values] == [meaning]
    assert CKR_DEVICE_REMOVED in answers.lost
    assert Answers.of(()) == Answers()


@pytest.mark.parametrize(
    ("error", "retryable"),
    [
        (SlotIDInvalid(), True),
        (PKCS11Error("Initialisation error (not initialized). Should never see this."), True),
        (PKCS11Error("Unmapped error code 0x80000001"), False),
    ],
    ids=repr,
)
def test_what_the_recovery_of_another_thread_leaves_passes(error: PKCS11Error, *, retryable: bool) -> None:
    """A slot that is gone and a module that is not initialised are how a token looks that is being brought back."""
    found = translate(error, "opening a session")
    assert isinstance(found, BackendUnavailable)
    assert found.retryable is retryable


def test_the_uri_chooses_by_name(softhsm2: SoftToken) -> None:
    """``profile=`` wins over what the token says, and the description shows both that and the lack of tests."""
    with open_key(f"{softhsm2.shared_key()}&profile=nshield") as key:
        assert isinstance(key, RsaTokenKey)
        assert key.describe()["vendor profile"] == "nshield, chosen by the URI; untested on hardware"


def test_an_unknown_name_lists_the_known_ones(softhsm2: SoftToken) -> None:
    """A misspelt profile is a ConfigError whose hint has every name."""
    with pytest.raises(ConfigError) as caught:
        open_key(f"{softhsm2.shared_key()}&profile=lunar")
    for profile in PROFILES:
        assert profile.name in caught.value.hint


def test_one_token_has_one_profile_at_a_time(softhsm2: SoftToken) -> None:
    """A second key of the token may not ask for another profile; without a wish it gets the one in use."""
    with open_key(f"{softhsm2.shared_key()}&profile=luna") as one, open_key(softhsm2.shared_key()) as two:
        assert isinstance(one, RsaTokenKey)
        assert isinstance(two, RsaTokenKey)
        assert two._connection.vendor is one._connection.vendor
        with pytest.raises(ConfigError, match="luna"):
            open_key(f"{softhsm2.shared_key()}&profile=nshield")


def test_the_token_behind_a_proxy_counts(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the library does not tell, the token's own information chooses."""
    SimulatedSlot(says={"manufacturer_id": "Utimaco IS GmbH"}).install(monkeypatch)
    monkeypatch.setattr(
        vendor_profiles, "PROFILES", [p for p in vendor_profiles.PROFILES if p is not vendor_profiles.SOFTHSM2]
    )
    with open_key(softhsm2.shared_key()) as key:
        assert isinstance(key, RsaTokenKey)
        assert key.describe()["vendor profile"].startswith("utimaco, chosen by token manufacturer")


def test_the_file_name_decides_before_the_module_can_be_asked() -> None:
    """C_Initialize follows the profile of the file name or of the URI, and ``init-mode`` wins over both."""
    odd = dataclasses.replace(vendor_profiles.UTIMACO, init_mode=InitMode.PLAIN)
    with patch.object(vendor_profiles, "PROFILES", (DEFAULT, odd)):
        found = [
            pkcs11._settings(KeyUri.parse(f"pkcs11:token=t{query}"), f"/opt/{file}")
            for query, file in [
                ("", "libother.so"),
                ("", "libcs_pkcs11_R3.so"),
                ("?profile=utimaco", "libother.so"),
                ("?init-mode=os-locking", "libcs_pkcs11_R3.so"),
                ("?profile=utimaco&init-mode=os-locking", "libother.so"),
            ]
        ]
    plain, locking = ModuleSettings(None, InitMode.PLAIN), ModuleSettings(None, InitMode.OS_LOCKING)
    assert found == [locking, plain, plain, locking, locking]


@pytest.mark.parametrize(
    ("query", "file"),
    [("&init-mode=plain", "libother.so"), ("&profile=opencryptoki", "libother.so"), ("", "p11-kit-client.so")],
)
def test_arguments_for_a_plain_initialisation_are_refused(query: str, file: str) -> None:
    """C_Initialize(NULL) has no place for ``module-args``: a ConfigError, whoever chose the mode."""
    with pytest.raises(ConfigError, match="takes no module-args"):
        pkcs11._settings(KeyUri.parse(f"pkcs11:token=t?module-args=x{query}"), f"/opt/{file}")
    locking = KeyUri.parse("pkcs11:token=t?module-args=x&init-mode=os-locking")
    assert pkcs11._settings(locking, f"/opt/{file}") == ModuleSettings("x", InitMode.OS_LOCKING)


def test_no_profile_asks_for_arguments_that_it_cannot_pass() -> None:
    """A vendor whose module reads ``module-args`` is not initialised plainly."""
    asking = [profile for profile in vendor_profiles.PROFILES if profile.module_args is not None]
    assert asking
    assert all(profile.init_mode is not InitMode.PLAIN for profile in asking)


def test_the_directory_of_a_module_says_nothing() -> None:
    """Only the file's own name is looked at."""
    assert by_file("/opt/kmsp11/lib/module.so") is DEFAULT


def test_a_link_is_what_it_leads_to(tmp_path: Path) -> None:
    """OpenCryptoki's usual name is PKCS11_API.so, a link: with locking, two threads would crash it."""
    (tmp_path / "libopencryptoki.so.0").touch()
    link = tmp_path / "PKCS11_API.so"
    link.symlink_to("libopencryptoki.so.0")
    assert by_file(str(link)) is vendor_profiles.OPENCRYPTOKI
    named_well = tmp_path / "libcs_pkcs11_R3.so"
    named_well.symlink_to("anything.so")
    assert by_file(str(named_well)) is vendor_profiles.UTIMACO


def test_a_module_that_threads_would_crash_is_refused(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the token tells that one call at a time is all it takes, C_Initialize is past: the URI has to say."""
    SimulatedSlot(says={"model": "IBM SoftTok"}).install(monkeypatch)
    monkeypatch.setattr(
        vendor_profiles, "PROFILES", [p for p in vendor_profiles.PROFILES if p is not vendor_profiles.SOFTHSM2]
    )
    uri = softhsm2.shared_key()
    with pytest.raises(ConfigError, match="one call at a time") as caught:
        open_key(uri)
    assert "init-mode=plain" in caught.value.hint
    for insisting in ("init-mode=os-locking", "profile=default"):
        open_key(f"{uri}&{insisting}").close()


def test_the_pool_leaves_room_for_the_other_sessions(softhsm2: SoftToken) -> None:
    """Of a token's known number of sessions two stay outside the pool; ``max-sessions`` in the URI wins."""
    for query, expected in [
        ("&profile=default", DEFAULT_MAX_SESSIONS),
        ("&profile=yubihsm2", 14),
        ("&profile=yubihsm2&max-sessions=3", 3),
    ]:
        with open_key(softhsm2.shared_key() + query) as key:
            assert isinstance(key, RsaTokenKey)
            assert key._connection._max == expected


def test_unwrap_mode_in_the_uri_wins(softhsm2: SoftToken) -> None:
    """A profile without C_UnwrapKey refuses a key that only unwraps, unless the URI insists on trying."""
    uri = f"{softhsm2.shared_key(UnwrapMode.IN_TOKEN)}&profile=google-kms"
    with pytest.raises(UnsupportedAlgorithm, match="Google"):
        open_key(uri)
    with open_key(f"{uri}&unwrap-mode=in-token") as key:
        assert isinstance(key, InTokenRsaKey)


def test_a_key_for_both_modes_is_used_as_the_profile_says(softhsm2: SoftToken) -> None:
    """Where a key decrypts and unwraps, the first mode of the profile is taken."""
    from pkcs11 import Attribute, KeyType, MechanismFlag

    label = softhsm2.fresh_label()
    with rw_session(softhsm2) as session:
        pair = session.generate_keypair(
            KeyType.RSA,
            2048,
            label=label,
            store=True,
            capabilities=MechanismFlag(0),
            private_template={Attribute.DECRYPT: True, Attribute.UNWRAP: True},
        )
        unwrapping_only = dataclasses.replace(DEFAULT, name="test", unwrap_modes=(UnwrapMode.IN_TOKEN,))
        try:
            with open_key(softhsm2.key_uri(label)) as key:
                assert isinstance(key, NativeRsaKey)
            assert pkcs11._mode(KeyUri.parse(softhsm2.key_uri(label)), unwrapping_only, pair[1]) is UnwrapMode.IN_TOKEN
        finally:
            for half in pair:
                half.destroy()


def test_keys_are_made_with_the_profile_of_the_uri(softhsm2: SoftToken) -> None:
    """``keys create`` accepts the attribute, and the URI that it answers keeps it."""
    made = key_maker(f"{softhsm2.key_uri(softhsm2.fresh_label())}&profile=nshield").create_rsa(2048, UnwrapMode.NATIVE)
    assert made.text("profile") == "nshield"
