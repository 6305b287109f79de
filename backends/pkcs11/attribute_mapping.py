# SPDX-License-Identifier: Apache-2.0
"""The attributes that python-pkcs11 cannot pack: lists of mechanisms, and templates inside templates."""

import ctypes
import struct
from collections.abc import Iterable

from pkcs11 import Attribute
from pkcs11.attributes import AttributeMapper

from sealpass.backends.pkcs11.cryptoki import AesKeyTemplate

_ULONG = struct.calcsize("L")


def _pack_mechanisms(mechanisms: Iterable[int]) -> bytes:
    return b"".join(struct.pack("L", mechanism) for mechanism in mechanisms)


def _unpack_mechanisms(octets: bytes) -> list[int]:
    return [number for (number,) in struct.iter_unpack("L", octets[: len(octets) // _ULONG * _ULONG])]


def _pack_template(template: AesKeyTemplate) -> bytes:
    # An array attribute's value is an array of CK_ATTRIBUTE with pointers; the template keeps their targets alive.
    return bytes(ctypes.string_at(template.reference, template.count * template.item_bytes))


def attribute_mapper() -> AttributeMapper:
    """A mapper that also knows CKA_ALLOWED_MECHANISMS and CKA_UNWRAP_TEMPLATE (written, never read)."""
    mapper = AttributeMapper()
    mapper.register_handler(Attribute.ALLOWED_MECHANISMS, _pack_mechanisms, _unpack_mechanisms)
    mapper.register_handler(Attribute.UNWRAP_TEMPLATE, _pack_template, bytes)
    return mapper
