# SPDX-License-Identifier: Apache-2.0
import json

import pytest

from sealpass.core import strict_json

REFUSED = {
    "nothing": b"",
    "not-json": b"password",
    "single-quotes": b"{'a':1}",
    "trailing-comma": b'{"a":1,}',
    "comment": b'{"a":1}//x',
    "trailing-text": b'{"a":1}x',
    "two-values": b"{}{}",
    "unfinished": b'{"a":',
    "repeated-member": b'{"a":1,"a":2}',
    "repeated-member-same-value": b'{"a":1,"a":1}',
    "repeated-member-escaped": b'{"a":1,"\\u0061":2}',
    "repeated-member-deep": b'[{"b":{"a":1,"a":2}}]',
    "nan": b'{"a":NaN}',
    "infinity": b'{"a":Infinity}',
    "minus-infinity": b"[-Infinity]",
    "not-utf-8": b'{"a":"\xff"}',
    "overlong-utf-8": b'{"a":"\xc0\xaf"}',
    "utf-8-surrogate": b'{"a":"\xed\xa0\x80"}',
    "byte-order-mark": b"\xef\xbb\xbf{}",
    "utf-16": json.dumps({"a": 1}).encode("utf-16"),
    "utf-16-le": json.dumps({"a": 1}).encode("utf-16-le"),
    "utf-32": json.dumps({"a": 1}).encode("utf-32"),
    "lone-high-surrogate": b'{"a":"\\ud83d"}',
    "lone-low-surrogate": b'{"a":"\\ude00"}',
    "lone-surrogate-in-name": b'{"\\ud83d":1}',
    "control-character": b'{"a":"\x01"}',
    "raw-newline-in-string": b'{"a":"\n"}',
    "depth-bomb": b"[" * 100_000,
    "closed-depth-bomb": b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
    "digits-bomb": b"1" * 5000,
}


@pytest.mark.parametrize("octets", REFUSED.values(), ids=REFUSED)
def test_refuses(octets: bytes) -> None:
    """Whatever RFC 7493 forbids, or Python cannot hold, is one ValueError."""
    with pytest.raises(ValueError, match=r"."):
        strict_json.loads(octets)


@pytest.mark.parametrize(
    ("octets", "value"),
    [
        (b"{}", {}),
        (b' {"a" : [1, 2.5, true, null, "x"]} \n', {"a": [1, 2.5, True, None, "x"]}),
        ('{"ä":"😀"}'.encode(), {"ä": "😀"}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "😀"}),
        (b'{"a":"\\u0000"}', {"a": "\0"}),
        (b'"\\\\ud83d"', "\\ud83d"),
        (b'{"a":{"a":{"a":1}}}', {"a": {"a": {"a": 1}}}),
        (b"[]", []),
        (b'"text"', "text"),
    ],
)
def test_accepts(octets: bytes, value: object) -> None:
    """Ordinary JSON, in UTF-8, with any value on top."""
    assert strict_json.loads(octets) == value


@pytest.mark.parametrize(
    "octets", [b'{"k":"s3cret", }', b'{"k":"s3cret\xff"}', b'{"k":"s3cret\\ud800"}', b'{"k":"s3cret","k":1}']
)
def test_error_does_not_carry_the_text_along(octets: bytes) -> None:
    """JSONDecodeError.doc and UnicodeError.object would put a key file or a payload into error reports."""
    with pytest.raises(ValueError, match=r".") as caught:
        strict_json.loads(octets)
    assert type(caught.value) is ValueError
    assert caught.value.__context__ is None
    assert caught.value.__cause__ is None
    assert "s3cret" not in repr(caught.value)
