# SPDX-License-Identifier: Apache-2.0
"""From a URI to one key: each way to miss it has its own clear error."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from pkcs11 import KeyType, Session

from sealpass.backends.pkcs11.library import load_module
from sealpass.backends.pkcs11.sharing import connect, leave
from sealpass.backends.registry import key_maker, open_key
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError, KeyNotFound, UnsupportedAlgorithm
from sealpass.core.uri import KeyUri
from tests.support.soft_tokens import SoftToken


@contextmanager
def rw_session(token: SoftToken) -> Iterator[Session]:
    """A session with which a test puts objects into the token."""
    connection = connect(token.uri, load_module(token.uri.require("module-path")), force_login=False)
    try:
        with connection.own_session(rw=True) as session:
            yield session
    finally:
        leave(connection)


def with_query(uri: str, **changes: str | None) -> str:
    """The URI with query attributes changed or removed."""
    parsed = KeyUri.parse(uri)
    query = {**parsed.query, **{name.replace("_", "-"): (value or "").encode() for name, value in changes.items()}}
    removed = {name.replace("_", "-") for name, value in changes.items() if value is None}
    return str(KeyUri(parsed.scheme, parsed.path, {k: v for k, v in query.items() if k not in removed}))


def test_no_module_path(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a module-path the error says which attribute and which variable would name one."""
    monkeypatch.delenv("SEALPASS_PKCS11_MODULE", raising=False)
    with pytest.raises(ConfigError) as caught:
        open_key(with_query(softhsm2.shared_key(), module_path=None))
    assert "module-path" in caught.value.hint
    assert "SEALPASS_PKCS11_MODULE" in caught.value.hint


def test_the_module_path_may_come_from_the_environment(softhsm2: SoftToken, monkeypatch: pytest.MonkeyPatch) -> None:
    """SEALPASS_PKCS11_MODULE names the module where the URI does not."""
    monkeypatch.setenv("SEALPASS_PKCS11_MODULE", softhsm2.uri.require("module-path"))
    with open_key(with_query(softhsm2.shared_key(), module_path=None)) as key:
        assert key.capabilities.unwrap


def test_a_missing_module(softhsm2: SoftToken) -> None:
    """A module-path that names no file is a ConfigError."""
    with pytest.raises(ConfigError, match="no PKCS#11 module"):
        open_key(with_query(softhsm2.shared_key(), module_path="/nonexistent/module.so"))


@pytest.mark.parametrize("content", [b"not a library", b""], ids=["text", "empty"])
def test_a_file_that_is_no_module(
    softhsm2: SoftToken, tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """A file that cannot be loaded is a ConfigError, not an OSError."""
    fake = tmp_path_factory.mktemp("module") / "fake.so"
    fake.write_bytes(content)
    with pytest.raises(ConfigError, match="not a PKCS#11 module"):
        open_key(with_query(softhsm2.shared_key(), module_path=str(fake)))


def test_a_library_without_c_get_function_list(softhsm2: SoftToken) -> None:
    """A shared library that is no PKCS#11 module is refused by the same error."""
    import _ctypes

    with pytest.raises(ConfigError, match="not a PKCS#11 module"):
        open_key(with_query(softhsm2.shared_key(), module_path=_ctypes.__file__))


def test_other_module_args_for_a_loaded_module(softhsm2: SoftToken) -> None:
    """A module is initialised once a process; other arguments for it are a ConfigError."""
    open_key(softhsm2.shared_key()).close()
    with pytest.raises(ConfigError, match="other module-args"):
        open_key(with_query(softhsm2.shared_key(), module_args="configdir='x'"))


def test_an_unknown_token_lists_those_there(softhsm2: SoftToken) -> None:
    """A token label that is not there is KeyNotFound, with the labels that are."""
    uri = KeyUri.parse(softhsm2.shared_key()).replace(path={"token": b"elsewhere"})
    with pytest.raises(KeyNotFound) as caught:
        open_key(uri)
    assert "'sealpass'" in caught.value.hint


@pytest.mark.parametrize("attribute", ["serial", "manufacturer", "model", "slot-id", "library-version"])
def test_every_token_attribute_must_match(softhsm2: SoftToken, attribute: str) -> None:
    """RFC 7512 section 2.3: one attribute that differs, and the token is not meant."""
    value = b"999999" if attribute in ("slot-id", "library-version") else b"other"
    with pytest.raises(KeyNotFound):
        open_key(KeyUri.parse(softhsm2.shared_key()).replace(path={attribute: value}))


@pytest.mark.parametrize(("attribute", "value"), [("library-version", b"2.6"), ("slot-id", None)])
def test_numbers_compare_as_numbers(softhsm2: SoftToken, attribute: str, value: bytes | None) -> None:
    """A version and a slot id match by value, with leading zeros and all."""
    if value is None:
        with rw_session(softhsm2) as session:
            value = b"00%d" % session.token.slot.slot_id
    with open_key(KeyUri.parse(softhsm2.shared_key()).replace(path={attribute: value})) as key:
        assert key.capabilities.unwrap


def test_a_version_without_a_minor_part_means_minor_zero(softhsm2: SoftToken) -> None:
    """RFC 7512 section 2.3: library-version=2 is 2.0, and not SoftHSM2's 2.6."""
    with pytest.raises(KeyNotFound):
        open_key(KeyUri.parse(softhsm2.shared_key()).replace(path={"library-version": b"2"}))


def test_an_unknown_key(softhsm2: SoftToken) -> None:
    """A label without a key is KeyNotFound."""
    with pytest.raises(KeyNotFound, match="no private or secret key"):
        open_key(softhsm2.key_uri("nobody"))


def test_a_token_uri_names_no_key(softhsm2: SoftToken) -> None:
    """Opening a token's URI asks for object or id."""
    with pytest.raises(ConfigError, match="no key"):
        open_key(softhsm2.uri)


def test_two_keys_with_one_label(softhsm2: SoftToken) -> None:
    """Two keys that answer to one URI are KeyNotFound; the id tells them apart."""
    label = softhsm2.fresh_label()
    with rw_session(softhsm2) as session:
        made = [session.generate_keypair(KeyType.RSA, 2048, label=label, id=bytes((n,)), store=True) for n in (1, 2)]
        try:
            with pytest.raises(KeyNotFound, match="2 keys"):
                open_key(softhsm2.key_uri(label))
            with open_key(KeyUri.parse(softhsm2.key_uri(label)).replace(path={"id": b"\x02"})) as key:
                assert key.capabilities.unwrap
        finally:
            for pair in made:
                for half in pair:
                    half.destroy()


def test_a_key_of_another_type(softhsm2: SoftToken) -> None:
    """An EC private key is UnsupportedAlgorithm, which names what it is."""
    from pkcs11 import Attribute
    from pkcs11.util.ec import encode_named_curve_parameters

    label = softhsm2.fresh_label()
    with rw_session(softhsm2) as session:
        parameters = session.create_domain_parameters(
            KeyType.EC, {Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}, local=True
        )
        pair = parameters.generate_keypair(label=label, store=True)
        try:
            with pytest.raises(UnsupportedAlgorithm, match="EC, neither"):
                open_key(softhsm2.key_uri(label))
        finally:
            for half in pair:
                half.destroy()


def test_a_short_rsa_key_is_refused(softhsm2: SoftToken) -> None:
    """RFC 7518 section 4.3: an RSA key below 2048 bits does not open, and none is made."""
    label = softhsm2.fresh_label()
    with rw_session(softhsm2) as session:
        pair = session.generate_keypair(KeyType.RSA, 1024, label=label, store=True)
        try:
            with pytest.raises(UnsupportedAlgorithm, match="1024 bits"):
                open_key(softhsm2.key_uri(label))
        finally:
            for half in pair:
                half.destroy()
    with pytest.raises(ConfigError, match="at least 2048"):
        key_maker(softhsm2.key_uri(label)).create_rsa(1024, UnwrapMode.NATIVE)


@pytest.mark.parametrize("component", ["object", "id"])
def test_each_component_of_a_listed_uri_finds_the_key_alone(softhsm2: SoftToken, component: str) -> None:
    """Every URI that a listing prints opens its key, and so does its label or id alone."""
    wanted = KeyUri.parse(softhsm2.new_key()).text("object")
    listing = next(item for item in key_maker(softhsm2.uri).list_keys() if item.uri.text("object") == wanted)
    other = {"object": "id", "id": "object"}[component]
    for uri in (listing.uri, listing.uri.replace(path={other: None, "type": None})):
        with open_key(uri) as key:
            assert key.key_id == listing.key_id


@pytest.mark.parametrize(
    "query", ["max-sessions=0", "max-sessions=x", "slot=1", "pin-value=1234", "unwrap-mode=foo", "init-mode=foo"]
)
def test_a_wrong_query_attribute_is_a_config_error(softhsm2: SoftToken, query: str) -> None:
    """Numbers that are none, unknown attributes and a PIN in the URI are refused."""
    with pytest.raises(ConfigError):
        open_key(f"{softhsm2.shared_key()}&{query}")
