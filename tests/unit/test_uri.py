# SPDX-License-Identifier: Apache-2.0
import dataclasses

import pytest

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri, UriAttributes

SECRET = "hunter2"

# RFC 7512 section 3, without the examples that carry a pin-value.
RFC_EXAMPLES = [
    "pkcs11:",
    "pkcs11:object=my-pubkey;type=public",
    "pkcs11:object=my-key;type=private?pin-source=file:/etc/token",
    (
        "pkcs11:token=The%20Software%20PKCS%2311%20Softtoken;manufacturer=Snake%20Oil,%20Inc.;model=1.0;"
        "object=my-certificate;type=cert;id=%69%95%3E%5C%F4%BD%EC%91;serial=?pin-source=file:/etc/token_pin"
    ),
    "pkcs11:object=my-sign-key;type=private?module-name=mypkcs11",
    "pkcs11:object=my-sign-key;type=private?module-path=/mnt/libmypkcs11.so.1",
    "pkcs11:library-description=Software%20Token;library-manufacturer=Snake%20Oil,%20Inc.;library-version=1.23",
    "pkcs11:slot-description=Sun%20Metaslot;slot-id=5",
    "pkcs11:token=My%20token%25%20created%20by%20Joe;library-version=3;id=%01%02%03%Ba%dd%Ca%fe%04%05%06",
]


@pytest.mark.parametrize("text", RFC_EXAMPLES)
def test_rfc_examples_parse_and_print(text: str) -> None:
    """Every example of RFC 7512 section 3 that we allow survives a round trip."""
    uri = KeyUri.parse(text)
    assert KeyUri.parse(str(uri)) == uri


def test_parts_are_told_apart() -> None:
    """Path and query attributes, percent decoding, and text against octets."""
    uri = KeyUri.parse("pkcs11:token=a%20b;id=%00%ff;serial=?module-path=/usr/lib/x.so&pin-source=env:PIN")
    assert uri.scheme == "pkcs11"
    assert uri.path == {"token": b"a b", "id": b"\x00\xff", "serial": b""}
    assert uri.query == {"module-path": b"/usr/lib/x.so", "pin-source": b"env:PIN"}
    assert uri.text("token") == "a b"
    assert uri.octets("id") == b"\x00\xff"
    assert uri.octets("module-path") == b"/usr/lib/x.so"
    assert uri.text("object") is None
    assert uri.octets("object") is None


def test_scheme_ignores_case() -> None:
    """RFC 3986 section 3.1; the rest is exact."""
    assert KeyUri.parse("PKCS11:token=A") == KeyUri.parse("pkcs11:token=A")
    assert KeyUri.parse("pkcs11:token=A") != KeyUri.parse("pkcs11:token=a")


def test_order_of_attributes_has_no_meaning() -> None:
    """RFC 7512 section 2.3: equal, and equal as a dictionary key."""
    one = KeyUri.parse("pkcs11:token=t;object=o?module-path=m&pin-source=env:P")
    other = KeyUri.parse("pkcs11:object=o;token=t?pin-source=env:P&module-path=m")
    assert one == other
    assert hash(one) == hash(other)
    assert str(one) != str(other)


def test_id_is_printed_percent_encoded_throughout() -> None:
    """RFC 7512 section 2.3 recommends it: the value is binary."""
    assert str(KeyUri.parse("pkcs11:id=abc")) == "pkcs11:id=%61%62%63"


def test_paths_may_hold_slashes_in_our_own_schemes_only() -> None:
    """RFC 7512 reserves '/' in the path of pkcs11."""
    assert KeyUri.parse("software:path=/a/b.pem").text("path") == "/a/b.pem"
    assert str(KeyUri.parse("software:path=%2Fa")) == "software:path=/a"
    with pytest.raises(ConfigError, match="'object'"):
        KeyUri.parse("pkcs11:object=/a")
    assert str(KeyUri.parse("pkcs11:object=%2Fa")) == "pkcs11:object=%2Fa"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "key.pem",
        "/etc/key.pem",
        ":token=a",
        "1a:token=a",
        "pk cs11:token=a",
        "software",
        "software:path",
        "software:=x",
        "software:path=a;",
        "software:;path=a",
        "software:path=a;;b=c",
        "software:pa th=a",
        "software:path=a?&b=c",
        "software:path=a b",
        "software:path=ä",
        "software:path=a#b",
        "software:path=%",
        "software:path=%4",
        "software:path=%4g",
        "software:path=%é0",
        'software:path="a"',
        "software:path=a\n",
        "pkcs11:token=a/b",
        "pkcs11:token=a?module-path=x;y=z&a",
        "pkcs11:slot-id=-1",
        "pkcs11:slot-id=1x",
        "pkcs11:slot-id=",
        "pkcs11:slot-id=%D9%A1",
        "pkcs11:library-version=1.2.3",
        "pkcs11:library-version=a",
        "pkcs11:type=certificate",
    ],
)
def test_refuses_what_is_no_key_uri(text: str) -> None:
    """The grammar is strict, because a URI that is half understood opens the wrong key."""
    with pytest.raises(ConfigError):
        KeyUri.parse(text)


@pytest.mark.parametrize("text", ["pkcs11:token=x", "pkcs11:", "software:path=a"])
def test_an_empty_query_is_no_query(text: str) -> None:
    """RFC 7512 section 2.3: pk11-query may be empty; it is printed without its '?'."""
    assert KeyUri.parse(f"{text}?") == KeyUri.parse(text)
    assert str(KeyUri.parse(f"{text}?")) == text


@pytest.mark.parametrize(
    "text", ["software:path=a;path=a", "pkcs11:token=a?pin-source=env:A&pin-source=env:B", "pkcs11:token=a;x=1?x=1"]
)
def test_refuses_repeated_attributes(text: str) -> None:
    """RFC 7512 section 2.3: a repeat makes the URI invalid, also across the '?'."""
    with pytest.raises(ConfigError, match=r"twice|before and after"):
        KeyUri.parse(text)


@pytest.mark.parametrize(
    "text",
    [f"pkcs11:token=a?pin-value={SECRET}", f"pkcs11:pin-value={SECRET}", f"software:path=a?pin-value={SECRET}"],
)
def test_refuses_a_pin_in_the_uri_without_repeating_it(text: str) -> None:
    """The error tells what to use instead, and not the PIN."""
    with pytest.raises(ConfigError, match="pin-value is refused") as caught:
        KeyUri.parse(text)
    assert "pin-source" in caught.value.hint
    assert SECRET not in f"{caught.value!r}{caught.value.hint}"


@pytest.mark.parametrize(
    "text",
    [
        f"pkcs11:token=a?pin-value={SECRET}%",
        f"pkcs11:token=a?pin-value={SECRET} ",
        f"pkcs11:token=a?pin-value={SECRET}&pin-value={SECRET}",
        f"pkcs11:token=a?module-path={SECRET}#",
        f"pkcs11:slot-id={SECRET}",
        f"pkcs11:type={SECRET}",
        f"pkcs11:library-version={SECRET}",
        f"pkcs11:token=a?{SECRET}",
        f"{SECRET}",
    ],
)
def test_no_error_repeats_a_value(text: str) -> None:
    """Whatever is wrong, the text names attributes only: somebody will write a PIN into a URI."""
    with pytest.raises(ConfigError) as caught:
        KeyUri.parse(text)
    assert SECRET not in f"{caught.value!r}{caught.value.hint}"


@pytest.mark.parametrize(
    "text",
    [
        f"pkcs11:token=a?pin-source={SECRET}",
        f"pkcs11:token=a?pin={SECRET}",
        f"pkcs11:token=a?PIN={SECRET}",
        f"pkcs11:user-pin={SECRET}",
        f"keystore:path=a?store-pass-source={SECRET}",
        f"keystore:path=a?password={SECRET}",
        f"awskms:key-id=a?secret-access-key={SECRET}",
        f"awskms:key-id=a?endpoint-url=http://user:{SECRET}@host/",
        f"awskms:key-id=a?endpoint-url=http://{SECRET}@host/",
        f"awskms:key-id=a?endpoint-url=http://user:{SECRET}@{SECRET}@host/",
    ],
)
def test_repr_hides_what_may_be_a_secret(text: str) -> None:
    """A PIN written where its source belongs, or into an attribute that nobody has, stays out of logs."""
    uri = KeyUri.parse(text)
    assert SECRET not in uri.shown()
    assert "***" in uri.shown()
    assert repr(uri) == f"KeyUri({uri.shown()!r})"


def test_repr_shows_sources_and_the_rest() -> None:
    """Where a secret comes from is what an operator needs to see."""
    text = "pkcs11:token=a;object=b?pin-source=file:/run/pin"
    assert KeyUri.parse(text).shown() == text
    assert repr(KeyUri.parse(text)) == f"KeyUri({text!r})"
    assert "env:STORE" in repr(KeyUri.parse("keystore:path=a?store-pass-source=env:STORE"))
    assert "http://host/" in repr(KeyUri.parse("awskms:key-id=a?endpoint-url=http://host/"))


def test_text_that_is_not_utf_8_is_refused_by_name() -> None:
    """Only octets() reads binary values."""
    uri = KeyUri.parse("pkcs11:object=%FF")
    assert uri.octets("object") == b"\xff"
    with pytest.raises(ConfigError, match="'object' is not UTF-8"):
        uri.text("object")


@pytest.mark.parametrize("text", ["software:", "software:path="])
def test_require_asks_for_a_value(text: str) -> None:
    """Missing and empty are the same mistake."""
    with pytest.raises(ConfigError, match="lacks 'path'") as caught:
        KeyUri.parse(text).require("path")
    assert "path=" in caught.value.hint


ATTRIBUTES = UriAttributes(
    path=frozenset({"path", "alias"}), query=frozenset({"pass-source"}), required=frozenset({"path"})
)


def test_declared_attributes_pass() -> None:
    """What the backend declares is accepted, also when it is left out."""
    KeyUri.parse("keystore:path=a;alias=b?pass-source=env:A").check_attributes(ATTRIBUTES)
    KeyUri.parse("keystore:path=a").check_attributes(ATTRIBUTES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keystore:path=a;colour=b", "unknown path attribute 'colour'"),
        ("keystore:path=a?colour=b", "unknown query attribute 'colour'"),
        ("keystore:path=a;pass-source=env:A", "unknown path attribute 'pass-source'"),
        ("keystore:path=a?alias=b", "unknown query attribute 'alias'"),
        ("keystore:alias=b", "lacks 'path'"),
    ],
)
def test_undeclared_attributes_are_refused(text: str, message: str) -> None:
    """A typing error in an attribute must not open another key than the one meant."""
    with pytest.raises(ConfigError, match=message) as caught:
        KeyUri.parse(text).check_attributes(ATTRIBUTES)
    assert caught.value.hint


def test_replace_sets_and_removes_path_attributes() -> None:
    """A listing narrows the URI it was given; the original stays."""
    uri = KeyUri.parse("pkcs11:token=t;object=o?module-path=m")
    assert str(uri.replace(path={"object": None, "id": b"\x01"})) == "pkcs11:token=t;id=%01?module-path=m"
    assert str(uri.replace()) == str(uri) == "pkcs11:token=t;object=o?module-path=m"


def test_immutable() -> None:
    """A URI is a dictionary key of the ring; neither it nor its attributes can change, nor the mapping it came from."""
    given = {"path": b"a"}
    uri = KeyUri("software", given)
    given["path"] = b"b"
    assert uri.text("path") == "a"
    with pytest.raises(TypeError):
        uri.path["path"] = b"b"  # type: ignore[index]
    with pytest.raises(dataclasses.FrozenInstanceError):
        uri.scheme = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("software:path=/x?path=/y", "before and after"),
        ("software:key=1?path=/y", "known path attributes"),
        ("software:?path=/y", "'path' stands before the '?'"),
    ],
)
def test_a_misplaced_attribute_is_told_its_place(text: str, hint: str) -> None:
    """Who put an attribute on the wrong side of the '?' reads on which side it belongs."""
    attributes = UriAttributes(path=frozenset({"path"}), query=frozenset({"source"}))
    with pytest.raises(ConfigError) as caught:
        KeyUri.parse(text).check_attributes(attributes)
    assert hint in f"{caught.value} {caught.value.hint}"


def test_an_attribute_that_swallowed_another_is_refused() -> None:
    """Before the '?' attributes are separated by ';', and '&' is part of a value."""
    attributes = UriAttributes(path=frozenset({"key-id", "region"}), query=frozenset())
    with pytest.raises(ConfigError, match="'key-id' holds another attribute") as caught:
        KeyUri.parse("awskms:key-id=alias/e2ee&region=eu-central-1").check_attributes(attributes)
    assert "';'" in caught.value.hint
    KeyUri.parse("awskms:key-id=a&b;region=x&other=1").check_attributes(attributes)
