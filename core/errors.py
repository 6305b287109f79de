# SPDX-License-Identifier: Apache-2.0
"""The errors of sealpass: two failures for what senders send, and a tree for operators.

A sender sees only :class:`TokenRejected` (decided from what the sender knows anyway) or :class:`DecryptionFailed`
(one text, one type, whatever went wrong after a key was touched: RFC 7516 section 11.5). Everything else tells an
operator what to do next. ``code`` is stable across releases: log it, count it, match on it.
"""

from enum import StrEnum
from typing import ClassVar


class Error(Exception):
    """Base of every error that sealpass raises on purpose.

    ``hint`` is the next step for a person. Neither the text nor the hint ever holds a secret.
    """

    code: ClassVar[str] = "error"
    hint: str = ""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        if hint is not None:
            self.hint = hint

    def __reduce__(self) -> tuple[object, ...]:
        # Constructors differ; what makes an error is its class, its text and its members. For process pools.
        return (_rebuild, (type(self), self.args, self.__dict__))


def _rebuild(kind: type[Error], args: tuple[object, ...], members: dict[str, object]) -> Error:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(members)
    return error


class RejectReason(StrEnum):
    """Why a token was refused before any key was used: only facts its sender can see.

    What can be seen without the nonce record leaves it: SIZE, FORM, HEADER, ALGORITHM, and the LENGTH of IV and tag.
    What must be compared with it, or comes later, spent it: the others, and the LENGTH of an encrypted key.
    """

    SIZE = "size"
    FORM = "form"
    HEADER = "header"
    ALGORITHM = "algorithm"
    NONCE = "nonce"
    ANNOUNCEMENT = "announcement"
    """alg, enc or kid is not what was announced under the nonce."""
    KEY_RETIRED = "key-retired"
    LENGTH = "length"


class TokenRejected(Error):
    """The token was refused before any key was used; ``reason`` says why and may be told to the sender."""

    code = "token-rejected"
    hint = "fetch a new nonce and public key, encrypt again, send again"

    def __init__(self, reason: RejectReason, message: str) -> None:
        super().__init__(f"token rejected ({reason.value}): {message}")
        self.reason = reason


class DecryptionFailed(Error):
    """The token did not open. One text for every cause, so that nobody learns which step failed."""

    code = "decryption-failed"
    hint = "an operator can run 'sealpass unwrap --diagnose' on the token, offline"
    TEXT: ClassVar[str] = "the token could not be decrypted"

    def __init__(self) -> None:
        super().__init__(self.TEXT)


class OperatorError(Error):
    """Base of what an operator, not a sender, must act upon."""

    code = "operator-error"


class ConfigError(OperatorError):
    """A command, URI, configuration or file is wrong; trying again does not help."""

    code = "config"
    hint = "put right what the message names; trying again alone does not help"


class KeyNotFound(OperatorError):
    """No key, or more than one, answers to the URI."""

    code = "key-not-found"
    hint = "list what is there with 'sealpass keys list URI'"


class UnsupportedAlgorithm(OperatorError):
    """The key or device does not do this; raised before any I/O wherever the capability is known."""

    code = "unsupported-algorithm"
    hint = "see what the key can do with 'sealpass doctor URI'"


class AuthenticationFailed(OperatorError):
    """The device refused to log in. Never retried automatically: a few wrong PINs lock a token."""

    code = "authentication-failed"
    hint = "check the PIN source by hand; a token locks after a few wrong PINs"


class BackendUnavailable(OperatorError):
    """The device cannot be reached or is overloaded; ``retryable`` says whether the same call may succeed later."""

    code = "backend-unavailable"
    hint = "check that the device is reachable and not overloaded; 'sealpass doctor URI' tries it"

    def __init__(self, message: str, *, retryable: bool, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.retryable = retryable


class RecordProblem(StrEnum):
    """Why a stored record was refused; for operators, never for whoever tries to log in."""

    FORM = "form"
    """Neither a record nor a value of a legacy form that is configured."""
    KEY_UNKNOWN = "key-unknown"
    DOES_NOT_OPEN = "does-not-open"
    """It was edited, or belongs to another subject or use, or another key took over the id."""
    CONTENT = "content"
    """It opens, and does not hold a hash that can be read."""
    COST = "cost"
    """Verifying it would cost more than the ceilings allow."""


class RecordRefused(OperatorError):
    """A stored record or legacy value was not verified at all; ``problem`` says why. Never a wrong password.

    The login page shows the same as for a wrong password; an operator looks for a leaky or damaged database.
    """

    code = "record-refused"

    def __init__(self, problem: RecordProblem, message: str, *, hint: str | None = None) -> None:
        super().__init__(f"record refused ({problem.value}): {message}", hint=hint or _RECORD_HINTS[problem])
        self.problem = problem


_RECORD_HINTS = {
    RecordProblem.FORM: "look at the column; legacy values must be allowed one form at a time",
    RecordProblem.KEY_UNKNOWN: "put the key back into the ring's previous keys",
    RecordProblem.DOES_NOT_OPEN: "compare the row with a backup, and ask who writes to this table",
    RecordProblem.CONTENT: "compare the row with a backup",
    RecordProblem.COST: "raise the ceiling if the parameters were yours; otherwise ask who writes to this table",
}


class MissingDependency(OperatorError):
    """An optional part of sealpass is not installed; ``extra`` names it."""

    code = "missing-dependency"

    def __init__(self, extra: str, module: str) -> None:
        super().__init__(
            f"this needs the Python package that provides '{module}', which is not installed",
            hint=f"pip install 'sealpass[{extra}]'",
        )
        self.extra = extra
