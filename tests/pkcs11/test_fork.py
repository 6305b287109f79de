# SPDX-License-Identifier: Apache-2.0
"""Forks: a child initialises the module anew, or says why it may not."""

import json

import pytest

from sealpass.core.capabilities import UnwrapMode
from tests.support.process import run_module
from tests.support.soft_tokens import SoftToken


@pytest.fixture(
    params=[
        ("softhsm2", UnwrapMode.NATIVE),
        ("softhsm2", UnwrapMode.IN_TOKEN),
        ("nss", UnwrapMode.NATIVE),
        ("nss", UnwrapMode.IN_TOKEN),
        ("opencryptoki", UnwrapMode.NATIVE),
        ("p11_kit", UnwrapMode.NATIVE),
    ],
    ids=str,
)
def uri(request: pytest.FixtureRequest) -> str:
    """A key of each soft token in each mode."""
    kind, mode = request.param
    token: SoftToken = request.getfixturevalue(kind)
    return token.shared_key(mode)


def test_a_child_of_a_single_threaded_parent_works(uri: str) -> None:
    """Inherited and new keys work in the child, and the parent goes on as if nothing had happened."""
    ran = run_module("fork_child", uri)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    assert found.pop("epoch") == "0"
    assert found == dict.fromkeys(("before", "inherited", "opened", "cek", "grandchild", "parent"), "right")


def test_a_child_of_a_threaded_parent_is_told_what_to_do(uri: str) -> None:
    """Where another thread ran at the fork the child gets a ConfigError that names the post-fork hook."""
    ran = run_module("fork_child", uri, "threads", environment={"PYTHONWARNINGS": "ignore"})
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout)
    for way in ("inherited", "opened", "cek", "grandchild"):
        assert found[way].startswith("ConfigError")
        assert "post_fork" in found[way]
    assert (found["before"], found["parent"]) == ("right", "right")
