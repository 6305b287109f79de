# SPDX-License-Identifier: Apache-2.0
"""Reads the two serialised Java objects of a JCEKS secret entry, and nothing else of Java's serialisation.

A secret entry of JCEKS has no length: whoever wants the entry behind it must know where its object ends. So every
reader parses objects of entries that nobody asked for. This one knows objects whose fields are byte arrays and strings
(``SealedObject``, ``SecretKeySpec``), makes no object of any other class, and does not recurse.
https://docs.oracle.com/en/java/javase/17/docs/specs/serialization/protocol.html
"""

from dataclasses import dataclass, field

from sealpass.backends.keystore.data_input import DataInput

_STREAM = bytes.fromhex("aced0005")
_NULL, _REFERENCE, _CLASS, _OBJECT, _STRING, _ARRAY, _END_BLOCK = 0x70, 0x71, 0x72, 0x73, 0x74, 0x75, 0x78
_FIRST_HANDLE = 0x7E0000
_SERIALIZABLE = 0x02  # alone: no data that a method of the class wrote
_MAX_CLASSES = 8
_MAX_FIELDS = 16


class UnexpectedClass(Exception):
    """The stream holds an object of another class, which its text names."""


@dataclass(slots=True)
class _Class:
    name: str
    fields: list[tuple[str, str]] = field(default_factory=list)
    """Type code and name."""


_Value = bytes | str | None
_Handle = _Class | _Value


class _Stream:
    def __init__(self, source: DataInput) -> None:
        self._source = source
        self._handles: list[_Handle] = []

    def read(self, expected: str) -> dict[str, _Value]:
        if self._source.take(len(_STREAM)) != _STREAM or self._source.unsigned(1) != _OBJECT:
            raise ValueError("no serialised object")
        classes = self._class_chain()
        if expected not in [found.name for found in classes]:
            raise UnexpectedClass(classes[0].name if classes else "null")
        self._handles.append(None)  # the object itself, to which none of its fields refers
        # Values come from the topmost class down, in the order in which the class lists its fields.
        return {name: self._value(code) for found in reversed(classes) for code, name in found.fields}

    def _referred(self) -> _Handle:
        index = self._source.unsigned(4) - _FIRST_HANDLE
        if not 0 <= index < len(self._handles):
            raise ValueError("a reference to nothing")
        return self._handles[index]

    def _class_chain(self) -> list[_Class]:
        """A class and its superclasses."""
        chain: list[_Class] = []
        while len(chain) < _MAX_CLASSES:
            match self._source.unsigned(1):
                case tag if tag == _NULL:
                    return chain
                case tag if tag == _CLASS:
                    chain.append(self._class())
                case tag if tag == _REFERENCE:  # a class that was described before, and its superclasses with it
                    known = self._referred()
                    if not isinstance(known, _Class):
                        raise ValueError("not a class")  # noqa: TRY004 - of the file, not of an argument
                    return [*chain, known]
                case _:
                    raise ValueError("not a class")
        raise ValueError("too many superclasses")

    def _class(self) -> _Class:
        described = _Class(self._source.text())
        self._source.take(8)  # serialVersionUID
        self._handles.append(described)
        if self._source.unsigned(1) != _SERIALIZABLE:
            raise ValueError("a class with data of its own")
        count = self._source.unsigned(2)
        if count > _MAX_FIELDS:
            raise ValueError("too many fields")
        for _ in range(count):
            code = chr(self._source.unsigned(1))
            name = self._source.text()
            if code not in "[L":
                raise ValueError("a field that is neither array nor object")
            self._string(self._source.unsigned(1))  # the type's name
            described.fields.append((code, name))
        if self._source.unsigned(1) != _END_BLOCK:
            raise ValueError("an annotated class")
        return described

    def _string(self, tag: int) -> str | None:
        if tag == _NULL:
            return None
        if tag == _REFERENCE:
            known = self._referred()
            if not isinstance(known, str):
                raise ValueError("not a string")
            return known
        if tag != _STRING:
            raise ValueError("not a string")
        text = self._source.text()
        self._handles.append(text)
        return text

    def _value(self, code: str) -> _Value:
        tag = self._source.unsigned(1)
        if code == "L":
            return self._string(tag)
        if tag == _NULL:
            return None
        if tag != _ARRAY or [found.name for found in self._class_chain()] != ["[B"]:
            raise ValueError("not an array of bytes")
        octets = self._source.block()
        self._handles.append(octets)
        return octets


def read_object(source: DataInput, expected: str) -> dict[str, _Value]:
    """The fields of an object of the class ``expected`` or a subclass of it.

    Raises UnexpectedClass before any field is read, and ValueError for everything else.
    """
    return _Stream(source).read(expected)
