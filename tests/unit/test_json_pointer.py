# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from sealpass.core.errors import ConfigError
from sealpass.core.json_pointer import JsonPointer

# The document and the table of RFC 6901 section 5.
DOCUMENT = json.loads(r'{"foo":["bar","baz"],"":0,"a/b":1,"c%d":2,"e^f":3,"g|h":4,"i\\j":5,"k\"l":6," ":7,"m~n":8}')
EXAMPLES = {
    "": DOCUMENT,
    "/foo": ["bar", "baz"],
    "/foo/0": "bar",
    "/": 0,
    "/a~1b": 1,
    "/c%d": 2,
    "/e^f": 3,
    "/g|h": 4,
    "/i\\j": 5,
    '/k"l': 6,
    "/ ": 7,
    "/m~0n": 8,
}


@pytest.mark.parametrize(("pointer", "value"), EXAMPLES.items())
def test_rfc_examples(pointer: str, value: object) -> None:
    """RFC 6901 section 5, every row."""
    assert JsonPointer(pointer).find(DOCUMENT) == value


def test_tilde_one_is_decoded_before_tilde_zero() -> None:
    """RFC 6901 section 4: '~01' is the member '~1', not '/'."""
    assert JsonPointer("/~01").find({"~1": "right", "/": "wrong"}) == "right"


@pytest.mark.parametrize("text", ["password", "a/b", "/~", "/a~2", "/~a", "/a/~", " /a", "#/a"])
def test_refuses_what_is_no_pointer(text: str) -> None:
    """A wrong pointer is found at configuration time, not at the first login."""
    with pytest.raises(ConfigError, match="not a JSON Pointer"):
        JsonPointer(text)


@pytest.mark.parametrize(
    "pointer",
    [
        "/none",
        "/foo/2",
        "/foo/-",
        "/foo/-1",
        "/foo/00",
        "/foo/01",
        "/foo/+1",
        "/foo/1e0",
        "/foo/x",
        "/foo/٠",
        "/foo/0/x",
        "/ /x",
        "/foo/9999999999999999999",
    ],
)
def test_names_nothing(pointer: str) -> None:
    """A missing member, an index out of range or not in its one spelling, and a step into a scalar are LookupErrors."""
    with pytest.raises(LookupError):
        JsonPointer(pointer).find(DOCUMENT)


@pytest.mark.parametrize("value", [None, 1, "text", True])
def test_scalars_have_no_members(value: object) -> None:
    """In particular a string has no index."""
    with pytest.raises(LookupError):
        JsonPointer("/0").find(value)


@pytest.mark.parametrize("pointer", ["", "/password", "/a/b/c", "/a~1b/m~0n", "/", "/list/0"])
def test_build_makes_what_find_finds(pointer: str) -> None:
    """A client that encrypts with the pointer and a server that reads with it agree."""
    assert JsonPointer(pointer).find(JsonPointer(pointer).build("x")) == "x"


def test_build_makes_the_smallest_nest() -> None:
    """Nothing but the value is in it."""
    assert JsonPointer("/a/b").build("x") == {"a": {"b": "x"}}
    assert JsonPointer("").build("x") == "x"


def test_equal_by_text() -> None:
    """Profiles that hold a pointer compare and hash by value."""
    assert JsonPointer("/a") == JsonPointer("/a")
    assert hash(JsonPointer("/a")) == hash(JsonPointer("/a"))
    assert JsonPointer("/a") != JsonPointer("/b")
    assert JsonPointer("/a") != "/a"
    assert repr(JsonPointer("/a")) == "JsonPointer('/a')"
