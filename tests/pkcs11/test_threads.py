# SPDX-License-Identifier: Apache-2.0
"""Threads: safe with our initialisation of the module, deadly with the binding's own."""

import subprocess

import pytest

from sealpass.backends.pkcs11.library import ModuleSettings, load_module
from tests.support.process import run_module
from tests.support.soft_tokens import SoftToken

SECONDS = "3"


def stress(uri: str, *extra: str) -> int:
    """The exit status of a stress run in a process of its own; -1 for one that hung."""
    try:
        return run_module("thread_stress", uri, SECONDS, *extra).returncode
    except subprocess.TimeoutExpired:
        return -1


def test_four_threads_with_os_locking(softhsm2: SoftToken) -> None:
    """Unwrapping, finding and opening sessions in four threads at once gives right results and no crash."""
    assert stress(softhsm2.shared_key()) == 0


@pytest.mark.timeout(200)
def test_the_stock_initialisation_breaks(softhsm2: SoftToken) -> None:
    """The same run with C_Initialize(NULL) crashes or hangs: the guard above guards something.

    The day that this fails, python-pkcs11 or SoftHSM2 have mended it, and backends/pkcs11/library.py can shrink.
    """
    assert any(stress(softhsm2.shared_key(), "stock") != 0 for _ in range(6))


def test_plain_initialisation_makes_one_call_at_a_time(softhsm2: SoftToken) -> None:
    """With init-mode=plain the module runs without locking, and four threads are still safe."""
    assert stress(softhsm2.shared_key() + "&init-mode=plain") == 0


def test_a_module_that_somebody_else_initialised_is_refused(softhsm2: SoftToken) -> None:
    """Whether it has locking nobody can tell, so it is not used by several threads; init-mode=plain takes it."""
    path, uri = softhsm2.uri.require("module-path"), softhsm2.shared_key()
    found = run_module("initialised_before", path, uri).stdout.splitlines()
    assert found[0].startswith("ConfigError")
    assert "init-mode=plain" in found[0]
    assert run_module("initialised_before", path, uri + "&init-mode=plain").stdout.splitlines() == ["open"]


def test_the_function_list_is_the_one_of_the_module(softhsm2: SoftToken) -> None:
    """What we read from inside python-pkcs11's object is what C_GetFunctionList answers.

    This is the test that a new version of the binding has to pass first: a wrong pointer crashes the process.
    """
    import ctypes

    path = softhsm2.uri.require("module-path")
    table = ctypes.c_void_p()
    assert ctypes.CDLL(path).C_GetFunctionList(ctypes.byref(table)) == 0
    assert load_module(path, ModuleSettings()).library.functions._table == table.value
