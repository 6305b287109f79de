# SPDX-License-Identifier: Apache-2.0
import pickle

import pytest

from sealpass.core import errors
from sealpass.core.errors import (
    AuthenticationFailed,
    BackendUnavailable,
    ConfigError,
    DecryptionFailed,
    Error,
    KeyNotFound,
    MissingDependency,
    OperatorError,
    RecordProblem,
    RecordRefused,
    RejectReason,
    TokenRejected,
    UnsupportedAlgorithm,
)

CODES = {
    Error: "error",
    TokenRejected: "token-rejected",
    DecryptionFailed: "decryption-failed",
    OperatorError: "operator-error",
    ConfigError: "config",
    KeyNotFound: "key-not-found",
    UnsupportedAlgorithm: "unsupported-algorithm",
    AuthenticationFailed: "authentication-failed",
    BackendUnavailable: "backend-unavailable",
    MissingDependency: "missing-dependency",
    RecordRefused: "record-refused",
}


def error_classes() -> list[type[Error]]:
    """Every class of the tree, found by looking."""
    found = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, Error)]
    assert found
    return found


def test_codes_are_the_published_ones() -> None:
    """Codes are stable across releases: people count and match them."""
    assert {kind: kind.code for kind in error_classes()} == CODES


def test_codes_are_unique() -> None:
    """A code names one class."""
    codes = [kind.code for kind in error_classes()]
    assert len(set(codes)) == len(codes)


@pytest.mark.parametrize("kind", [TokenRejected, DecryptionFailed])
def test_failures_of_senders_are_not_operator_errors(kind: type[Error]) -> None:
    """What a sender causes is never caught as something for an operator."""
    assert not issubclass(kind, OperatorError)


@pytest.mark.parametrize(
    "kind",
    [
        ConfigError,
        KeyNotFound,
        UnsupportedAlgorithm,
        AuthenticationFailed,
        BackendUnavailable,
        MissingDependency,
        RecordRefused,
    ],
)
def test_errors_for_operators_share_a_base(kind: type[Error]) -> None:
    """One except clause catches everything that an operator must act upon."""
    assert issubclass(kind, OperatorError)


def test_decryption_failed_has_one_text() -> None:
    """Two failures cannot be told apart by what they say."""
    first, second = DecryptionFailed(), DecryptionFailed()
    assert str(first) == str(second) == DecryptionFailed.TEXT
    assert first.args == second.args == (DecryptionFailed.TEXT,)
    assert vars(first) == vars(second) == {}


def test_decryption_failed_takes_no_text_of_its_own() -> None:
    """Nobody can give it a second text by mistake."""
    with pytest.raises(TypeError):
        DecryptionFailed("padding")  # type: ignore[call-arg]


@pytest.mark.parametrize("reason", RejectReason)
def test_token_rejected_says_why(reason: RejectReason) -> None:
    """The reason stands in an attribute for programs and in the text for people."""
    error = TokenRejected(reason, "because")
    assert error.reason is reason
    assert str(error) == f"token rejected ({reason.value}): because"


def test_reject_reasons_are_the_published_ones() -> None:
    """Reasons are stable: they are logged and counted."""
    assert {reason.value for reason in RejectReason} == {
        "size",
        "form",
        "header",
        "algorithm",
        "nonce",
        "announcement",
        "key-retired",
        "length",
    }


def test_record_problems_are_the_published_ones() -> None:
    """Problems are stable: they are logged and counted."""
    assert {problem.value for problem in RecordProblem} == {"form", "key-unknown", "does-not-open", "content", "cost"}


@pytest.mark.parametrize("problem", RecordProblem)
def test_record_refused_says_why(problem: RecordProblem) -> None:
    """The problem stands in an attribute for programs and in the text for people."""
    error = RecordRefused(problem, "because")
    assert error.problem is problem
    assert str(error) == f"record refused ({problem.value}): because"


def test_hint_of_the_raiser_wins_over_the_hint_of_the_class() -> None:
    """Whoever knows more than the class says so, without changing the class."""
    assert KeyNotFound("none").hint == KeyNotFound.hint != ""
    assert KeyNotFound("none", hint="look there").hint == "look there"
    assert KeyNotFound("none").hint == KeyNotFound.hint


RAISED: list[Error] = [
    TokenRejected(RejectReason.FORM, "no"),
    DecryptionFailed(),
    ConfigError("no"),
    KeyNotFound("no"),
    UnsupportedAlgorithm("no"),
    AuthenticationFailed("no"),
    BackendUnavailable("no", retryable=True),
    MissingDependency("pkcs11", "pkcs11"),
    *(RecordRefused(problem, "no") for problem in RecordProblem),
]


def test_every_error_that_is_raised_has_a_hint() -> None:
    """Whoever raises it need not think of one: the class has a next step for a person."""
    assert {type(error) for error in RAISED} == set(error_classes()) - {Error, OperatorError}
    assert [error.code for error in RAISED if not error.hint] == []


@pytest.mark.parametrize("retryable", [True, False])
def test_backend_unavailable_says_whether_to_try_again(retryable: bool) -> None:  # noqa: FBT001 - a parameter
    """A caller decides on the attribute, never on the text."""
    assert BackendUnavailable("gone", retryable=retryable).retryable is retryable


def test_missing_dependency_names_the_install_command() -> None:
    """The hint is the command to copy."""
    error = MissingDependency("awskms", "boto3")
    assert error.hint == "pip install 'sealpass[awskms]'"
    assert error.extra == "awskms"
    assert "boto3" in str(error)


@pytest.mark.parametrize(
    "error",
    [
        DecryptionFailed(),
        TokenRejected(RejectReason.NONCE, "used"),
        BackendUnavailable("away", retryable=True, hint="wait"),
        RecordRefused(RecordProblem.COST, "dear"),
        MissingDependency("pkcs11", "pkcs11"),
        ConfigError("wrong"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_an_error_survives_the_way_out_of_a_process_pool(error: Error) -> None:
    """Pickling keeps class, text, hint and the members that callers decide by."""
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    assert type(again) is type(error)
    assert (str(again), again.args, again.hint, vars(again)) == (str(error), error.args, error.hint, vars(error))
