# SPDX-License-Identifier: Apache-2.0
"""Making, importing and listing keys in a token.

A key is made for one unwrap mode: ``native`` may decrypt and not unwrap, ``in-token`` the reverse. Neither may sign.
"""

import datetime as dt
import logging
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID
from pkcs11 import Attribute, KeyType, Mechanism, MechanismFlag, Object, ObjectClass, Session
from pkcs11.constants import CertificateType
from pkcs11.exceptions import DeviceMemory, PKCS11Error, SessionReadOnly, TokenWriteProtected

from sealpass.backends.pkcs11.cryptoki import AesKeyTemplate
from sealpass.backends.pkcs11.library import Module
from sealpass.backends.pkcs11.objects import find_keys, kind_of, public_key_of, read
from sealpass.backends.pkcs11.return_values import LOST_ERRORS, translate
from sealpass.backends.pkcs11.sharing import connect, leave
from sealpass.core import base64url
from sealpass.core.algorithms import MIN_RSA_BITS
from sealpass.core.capabilities import UnwrapMode
from sealpass.core.errors import ConfigError
from sealpass.core.jwk import PublicJwk
from sealpass.core.pem import load_rsa_private_key
from sealpass.core.protocols import KeyListing
from sealpass.core.uri import KeyUri

_log = logging.getLogger(__name__)

_CERTIFICATE_YEARS = 30
_AES_ID_BYTES = 16
_AES_BITS = (128, 192, 256)
_PRIVATE_USE = {
    UnwrapMode.NATIVE: {Attribute.DECRYPT: True, Attribute.UNWRAP: False},
    UnwrapMode.IN_TOKEN: {Attribute.DECRYPT: False, Attribute.UNWRAP: True},
}
_PUBLIC_USE = {
    UnwrapMode.NATIVE: {Attribute.ENCRYPT: True, Attribute.WRAP: False},
    UnwrapMode.IN_TOKEN: {Attribute.ENCRYPT: False, Attribute.WRAP: True},
}


class TokenKeyMaker:
    """:class:`~sealpass.core.protocols.KeyMaker` for the token and label of a URI. Opens and closes its own login."""

    def __init__(self, uri: KeyUri, module: Module, *, force_login: bool) -> None:
        self._uri = uri
        self._module = module
        self._force_login = force_login

    @contextmanager
    def _session(self, *, rw: bool) -> Iterator[Session]:
        connection = connect(self._uri, self._module, force_login=self._force_login)
        try:
            with connection.own_session(rw=rw) as session:
                yield session
        except PKCS11Error as error:
            raise translate(error, "making or listing keys") from None
        finally:
            leave(connection)

    def _label_of_new_key(self, session: Session, mode: UnwrapMode | None = None) -> str:
        label = self._uri.require("object")
        wanted = self._uri.text("unwrap-mode")
        if wanted is not None and wanted != mode:
            raise ConfigError(
                f"the URI says unwrap-mode={wanted}, and the key would be made for {mode or 'sealing'}",
                hint="leave unwrap-mode out of the URI, or give the same --mode",
            )
        if self._uri.octets("id") is not None:
            raise ConfigError("the id of a new key is its thumbprint", hint="leave id out of the URI")
        if find_keys(session, self._uri):
            raise ConfigError(
                "a key of the token answers to the URI already",
                hint="use it as it is, or choose another object=…; keys are never overwritten",
            )
        return label

    def create_rsa(self, bits: int, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:
        """See :class:`~sealpass.core.protocols.KeyMaker`."""
        if bits < MIN_RSA_BITS:
            raise ConfigError(f"an RSA key has at least {MIN_RSA_BITS} bits (RFC 7518 section 4.3)")
        with self._session(rw=True) as session:
            label = self._label_of_new_key(session, mode)
            public_template = {**_use(_PUBLIC_USE, mode), Attribute.VERIFY: self_signed}
            private_template = {**_private_template(mode), Attribute.SIGN: self_signed}

            def generate(restrictions: dict[Attribute, Any]) -> tuple[Object, Object]:
                return session.generate_keypair(
                    KeyType.RSA,
                    bits,
                    label=label,
                    store=True,
                    capabilities=MechanismFlag(0),
                    public_template=public_template,
                    private_template={**private_template, **restrictions},
                )

            public, private = _most_restricted(generate, _restrictions(mode, self_signed=self_signed))
            return self._finish(session, public, private, self_signed=self_signed)

    def import_rsa(self, pem: bytes, mode: UnwrapMode, *, self_signed: bool = False) -> KeyUri:
        """See :class:`~sealpass.core.protocols.KeyMaker`. CKA_ALWAYS_SENSITIVE is false: the key was outside."""
        key = load_rsa_private_key(pem)
        numbers = key.private_numbers()
        public_numbers = numbers.public_numbers
        rsa_members = {
            Attribute.MODULUS: _octets(public_numbers.n),
            Attribute.PUBLIC_EXPONENT: _octets(public_numbers.e),
        }
        with self._session(rw=True) as session:
            label = self._label_of_new_key(session, mode)
            common = {
                Attribute.KEY_TYPE: KeyType.RSA,
                Attribute.LABEL: label,
                Attribute.TOKEN: True,
                Attribute.ID: b"new",
            }
            # The private half first: it is the one that a token may refuse.
            private = session.create_object(
                {
                    Attribute.CLASS: ObjectClass.PRIVATE_KEY,
                    **common,
                    **rsa_members,
                    **_private_template(mode),
                    Attribute.SIGN: self_signed,
                    Attribute.PRIVATE_EXPONENT: _octets(numbers.d),
                    Attribute.PRIME_1: _octets(numbers.p),
                    Attribute.PRIME_2: _octets(numbers.q),
                    Attribute.EXPONENT_1: _octets(numbers.dmp1),
                    Attribute.EXPONENT_2: _octets(numbers.dmq1),
                    Attribute.COEFFICIENT: _octets(numbers.iqmp),
                }
            )
            try:
                public = session.create_object(
                    {
                        Attribute.CLASS: ObjectClass.PUBLIC_KEY,
                        **common,
                        **rsa_members,
                        **_use(_PUBLIC_USE, mode),
                        Attribute.VERIFY: self_signed,
                    }
                )
            except BaseException:
                _destroy([private])
                raise
            return self._finish(session, public, private, self_signed=self_signed)

    def _finish(self, session: Session, public: Object, private: Object, *, self_signed: bool) -> KeyUri:
        """Give both halves the thumbprint as CKA_ID, and a certificate where one is wanted; undo all on failure."""
        made = [public, private]
        try:
            public_key = public_key_of(session, private)
            thumbprint = base64url.decode(PublicJwk.from_public_key(public_key).kid.encode("ascii"))
            for half in made:
                half[Attribute.ID] = thumbprint
            if self_signed:
                made.append(_store_certificate(session, private, public_key, thumbprint, self._uri.require("object")))
                public[Attribute.VERIFY] = False
                private[Attribute.SIGN] = False
        except BaseException:
            _destroy(made)
            raise
        return self._uri.replace(path={"type": b"private"})

    def create_aes(self, bits: int) -> KeyUri:
        """See :class:`~sealpass.core.protocols.KeyMaker`."""
        if bits not in _AES_BITS:
            raise ConfigError("an AES key has 128, 192 or 256 bits")
        with self._session(rw=True) as session:
            label = self._label_of_new_key(session)
            session.generate_key(
                KeyType.AES,
                bits,
                label=label,
                id=secrets.token_bytes(_AES_ID_BYTES),
                store=True,
                capabilities=MechanismFlag.ENCRYPT | MechanismFlag.DECRYPT,
                template={Attribute.SENSITIVE: True, Attribute.EXTRACTABLE: False, Attribute.PRIVATE: True},
            )
            return self._uri.replace(path={"type": b"secret-key"})

    def list_keys(self) -> Iterator[KeyListing]:
        """See :class:`~sealpass.core.protocols.KeyMaker`. An RSA key that is too weak to open has no id here."""
        # Not lazy: a caller who stops half-way would keep the session and the login.
        with self._session(rw=False) as session:
            return iter([_listing(self._uri, session, key) for key in find_keys(session, self._uri)])


def _destroy(items: list[Object]) -> None:
    """Undo, as far as the token lets us."""
    for item in items:
        with suppress(PKCS11Error):
            item.destroy()


def _use(table: dict[UnwrapMode, dict[Attribute, bool]], mode: UnwrapMode) -> dict[Attribute, bool]:
    if mode not in table:
        raise ConfigError(f"a key in a token is made for mode native or in-token, not {mode}")
    return table[mode]


def _private_template(mode: UnwrapMode) -> dict[Attribute, Any]:
    return {
        **_use(_PRIVATE_USE, mode),
        Attribute.PRIVATE: True,
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.DERIVE: False,
    }


def _restrictions(mode: UnwrapMode, *, self_signed: bool) -> dict[Attribute, Any]:
    """What the token itself should enforce: OAEP and nothing else, and CEKs that never come out."""
    mechanisms = [Mechanism.RSA_PKCS_OAEP] + [Mechanism.SHA256_RSA_PKCS] * self_signed
    restrictions: dict[Attribute, Any] = {Attribute.ALLOWED_MECHANISMS: mechanisms}
    if mode is UnwrapMode.IN_TOKEN:
        restrictions[Attribute.UNWRAP_TEMPLATE] = AesKeyTemplate(enforced=True)
    return restrictions


Generate = Callable[[dict[Attribute, Any]], tuple[Object, Object]]


def _most_restricted(generate: Generate, restrictions: dict[Attribute, Any]) -> tuple[Object, Object]:
    """A pair with all restrictions, or with those that the module knows; a warning names what it leaves out.

    Errors that may pass (a lost device, a full token) are not taken for a module's ignorance.
    """
    for kept in (*_subsets(restrictions), {}):
        try:
            made = generate(kept)
        except (*LOST_ERRORS, DeviceMemory, SessionReadOnly, TokenWriteProtected):
            raise
        except PKCS11Error:
            if not kept:
                raise
            continue
        for missing in restrictions.keys() - kept.keys():
            _log.warning("the token does not take CKA_%s: it does not enforce it", missing.name)
        return made
    raise AssertionError("the last try has no restrictions, and its error is raised")


def _subsets(restrictions: dict[Attribute, Any]) -> list[dict[Attribute, Any]]:
    """All of them, then each alone."""
    alone = [{name: value} for name, value in restrictions.items()] if len(restrictions) > 1 else []
    return [restrictions, *alone]


def _octets(number: int) -> bytes:
    return number.to_bytes((number.bit_length() + 7) // 8, "big")


def _listing(uri: KeyUri, session: Session, key: Object) -> KeyListing:
    label, identifier = read(key, Attribute.LABEL), read(key, Attribute.ID)
    is_private = read(key, Attribute.CLASS) is ObjectClass.PRIVATE_KEY
    path: dict[str, bytes | None] = {
        "object": label.encode("utf-8") if label else None,
        "id": identifier or None,
        "type": b"private" if is_private else b"secret-key",
    }
    kind = kind_of(key)
    key_id, modes = None, []
    if kind.startswith("RSA"):
        if read(key, Attribute.DECRYPT):
            modes.append(UnwrapMode.NATIVE)
        if read(key, Attribute.UNWRAP):
            modes.append(UnwrapMode.IN_TOKEN)
        try:
            key_id = PublicJwk.from_public_key(public_key_of(session, key)).kid
        except ConfigError:
            key_id = None
    elif identifier:
        key_id = base64url.encode(identifier).decode("ascii")
    return KeyListing(uri.replace(path=path), kind, key_id, tuple(modes))


class _TokenSigner(rsa.RSAPrivateKey):
    """The private key in the token, as cryptography's certificate builder wants to see it: it only signs."""

    def __init__(self, key: Object, public_key: rsa.RSAPublicKey) -> None:
        self._key = key
        self._public_key = public_key

    def sign(self, data: Any, padding: Any, algorithm: Any) -> bytes:  # noqa: ARG002 - always SHA256_RSA_PKCS
        return bytes(self._key.sign(data, mechanism=Mechanism.SHA256_RSA_PKCS))  # type: ignore[attr-defined]

    def public_key(self) -> rsa.RSAPublicKey:
        return self._public_key

    @property
    def key_size(self) -> int:
        return self._public_key.key_size

    def decrypt(self, ciphertext: Any, padding: Any) -> bytes:
        raise NotImplementedError

    def private_numbers(self) -> rsa.RSAPrivateNumbers:
        raise NotImplementedError

    def private_bytes(self, encoding: Any, format: Any, encryption_algorithm: Any) -> bytes:  # noqa: A002 - the interface's names
        raise NotImplementedError

    def __copy__(self) -> "_TokenSigner":
        return self

    def __deepcopy__(self, memo: Any) -> "_TokenSigner":
        return self


def _store_certificate(
    session: Session, private: Object, public_key: rsa.RSAPublicKey, identifier: bytes, label: str
) -> Object:
    """A self-signed certificate beside the pair: Java's PKCS11 key store shows no pair without one."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, label[:64])])
    now = dt.datetime.now(dt.UTC).replace(microsecond=0)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=365 * _CERTIFICATE_YEARS))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.KeyUsage(
                key_encipherment=True,
                digital_signature=False,
                content_commitment=False,
                data_encipherment=False,
                key_agreement=False,
                key_cert_sign=False,
                crl_sign=False,
                encipher_only=False,
                decipher_only=False,
            ),
            critical=True,
        )
        .sign(_TokenSigner(private, public_key), hashes.SHA256())
    )
    return session.create_object(
        {
            Attribute.CLASS: ObjectClass.CERTIFICATE,
            Attribute.CERTIFICATE_TYPE: CertificateType.X_509,
            Attribute.TOKEN: True,
            Attribute.LABEL: label,
            Attribute.ID: identifier,
            Attribute.SUBJECT: certificate.subject.public_bytes(),
            Attribute.ISSUER: certificate.issuer.public_bytes(),
            Attribute.SERIAL_NUMBER: _der_integer(certificate.serial_number),
            Attribute.VALUE: certificate.public_bytes(serialization.Encoding.DER),
        }
    )


def _der_integer(number: int) -> bytes:
    octets = number.to_bytes(number.bit_length() // 8 + 1, "big")
    return bytes((2, len(octets))) + octets
