# SPDX-License-Identifier: Apache-2.0
import dataclasses
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sealpass.core.errors import ConfigError
from sealpass.core.uri import KeyUri

NAMES = st.text(st.sampled_from("abcxyzABC019-_"), min_size=1, max_size=12).filter(lambda name: name != "pin-value")
VALUES = st.binary(max_size=30) | st.text(max_size=20).filter(str.isprintable).map(lambda text: text.encode())
SCHEMES = st.sampled_from(["software", "awskms", "keystore", "pkcs11"])
# pkcs11 attributes whose values have a form of their own.
FORMED = {"type", "slot-id", "library-version"}
SECRET_NAMES = [
    "pin",
    "PIN",
    "pin-source",
    "user-pin",
    "password",
    "passphrase",
    "store-pass-source",
    "key-pass",
    "Secret",
]
# Long enough not to stand in a URI by chance.
SECRETS = st.text(st.sampled_from("abcdefghijklmnop0123456789"), min_size=12, max_size=30)


@st.composite
def uris(draw: st.DrawFn) -> KeyUri:
    """Key URIs with any values."""
    path = draw(st.dictionaries(NAMES.filter(lambda name: name not in FORMED), VALUES, max_size=5))
    query = draw(st.dictionaries(NAMES.filter(lambda name: name not in path), VALUES, max_size=5))
    return KeyUri(draw(SCHEMES), path, query)


@given(uris())
def test_parse_and_print_are_inverse(uri: KeyUri) -> None:
    """parse(str(uri)) == uri, and printing again gives the same text: one URI has one normal form."""
    assert KeyUri.parse(str(uri)) == uri
    assert str(KeyUri.parse(str(uri))) == str(uri)


@given(uris(), st.randoms(use_true_random=False))
def test_order_of_attributes_is_irrelevant(uri: KeyUri, chance: random.Random) -> None:
    """For equality, for hashing, and for what each attribute is."""
    path, query = list(uri.path.items()), list(uri.query.items())
    chance.shuffle(path)
    chance.shuffle(query)
    shuffled = KeyUri.parse(str(KeyUri(uri.scheme, dict(path), dict(query))))
    assert shuffled == uri
    assert hash(shuffled) == hash(uri)


@given(uris(), uris(), st.sampled_from(["scheme", "path", "query"]))
def test_equal_exactly_where_all_attributes_are(one: KeyUri, stranger: KeyUri, differs: str) -> None:
    """Neither more nor less: a ring tells keys apart by this."""
    other = dataclasses.replace(one, **{differs: getattr(stranger, differs)})
    same = (one.scheme, dict(one.path), dict(one.query)) == (other.scheme, dict(other.path), dict(other.query))
    assert (one == other) == same
    assert (str(one) == str(other)) <= same


@given(uris().filter(lambda uri: uri.path or uri.query), st.data())
def test_repeated_attributes_are_refused(uri: KeyUri, data: st.DataObject) -> None:
    """On the same side of the '?' and across it, whatever their values."""
    name = data.draw(st.sampled_from([*uri.path, *uri.query]), label="name")
    text, question, query = str(uri).partition("?")
    in_path = f"{text}{';' if uri.path else ''}{name}=a{question}{query}"
    in_query = f"{text}?{query}{'&' if query else ''}{name}=a"
    for repeated in (in_path, in_query):
        with pytest.raises(ConfigError):
            KeyUri.parse(repeated)


@given(uris(), st.sampled_from(SECRET_NAMES), SECRETS, st.booleans())
def test_repr_shows_no_secret(uri: KeyUri, name: str, secret: str, in_query: bool) -> None:  # noqa: FBT001
    """Whatever else is in the URI, the value of an attribute that sounds like a secret is masked."""
    added = {name: secret.encode()}
    path = uri.path if in_query else {**uri.path, **added}
    query = {**uri.query, **added} if in_query else uri.query
    assert secret not in repr(KeyUri(uri.scheme, path, query))


@given(SECRETS, SCHEMES, st.sampled_from(["", "?", ";", "&", "%", "=", "#", " ", "ä"]), st.booleans())
def test_pin_value_is_refused_without_repeating_it(secret: str, scheme: str, suffix: str, in_query: bool) -> None:  # noqa: FBT001
    """Also where the rest of the URI is wrong."""
    text = f"{scheme}:token=t{'?' if in_query else ';'}pin-value={secret}{suffix}"
    with pytest.raises(ConfigError) as caught:
        KeyUri.parse(text)
    assert secret not in f"{caught.value!r}{caught.value.hint}{caught.value.__cause__!r}{caught.value.__context__!r}"


@given(st.text() | st.text(st.sampled_from("pkcs1:;?&=%09aF/#+-. é"), max_size=40).map(lambda rest: "pkcs11:" + rest))
def test_any_text_is_a_uri_or_a_config_error(text: str) -> None:
    """And what is one keeps the laws."""
    try:
        uri = KeyUri.parse(text)
    except ConfigError:
        return
    assert KeyUri.parse(str(uri)) == uri
