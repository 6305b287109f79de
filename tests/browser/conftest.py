# SPDX-License-Identifier: Apache-2.0
"""The programs that these tests run. What is not installed is named in the reason of a skip."""

import shutil

import pytest

from tests.browser.programs import HERE, MIN_JAVA, MIN_NODE, Program, find


@pytest.fixture(scope="session")
def node() -> Program:
    """Node, whose WebCrypto stands in for the browser's."""
    return find("node", "--version", r"v(\d+)\.", MIN_NODE)


@pytest.fixture(scope="session")
def node_with_packages(node: Program) -> Program:
    """Node, beside the packages of package.json."""
    if not (HERE / "node_modules").is_dir():
        todo = "run 'npm ci' in tests/browser" if shutil.which("npm") else "npm is not installed"
        pytest.skip(f"the packages of tests/browser/package.json are not installed: {todo}")
    return node


@pytest.fixture(scope="session")
def java() -> Program:
    """A JDK, which runs a source file as it is."""
    return find("java", "-version", r'version "(\d+)', MIN_JAVA)
