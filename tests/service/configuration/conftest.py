# SPDX-License-Identifier: Apache-2.0
"""Keys, and a configuration that is right, to be made wrong one line at a time."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from sealpass.backends.registry import key_maker
from sealpass.core.capabilities import UnwrapMode

TEMPLATE = """\
[database]
url = "sqlite:///{folder}/passwords.db"
[rings.e2ee]
current = "{keys}/e2ee.pem"
[rings.seal]
current = "{keys}/seal.jwk"
[records]
ring = "seal"
[hashing]
memory-kib = 8
passes = 1
lanes = 1
[steps]
check = {{ ring = "e2ee" }}
change = {{ ring = "e2ee" }}
reset = {{ ring = "e2ee" }}
register = {{ ring = "e2ee" }}
admin-set = {{ ring = "e2ee" }}
"""


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The start of the URIs of two RSA keys and two AES keys."""
    folder = f"software:path={tmp_path_factory.mktemp('keys')}"
    for name in ("e2ee", "e2ee-new"):
        key_maker(f"{folder}/{name}.pem").create_rsa(2048, UnwrapMode.SOFTWARE)
    for name in ("seal", "seal-new"):
        key_maker(f"{folder}/{name}.jwk").create_aes(256)
    return folder


@dataclass
class ConfigurationFile:
    """A file that a test edits."""

    path: Path

    @property
    def text(self) -> str:
        """What stands in it."""
        return self.path.read_text()

    def replace(self, *changes: tuple[str, str]) -> Path:
        """Put texts in the place of others, each of which is there once."""
        text = self.text
        for old, new in changes:
            assert text.count(old) == 1, old
            text = text.replace(old, new)
        self.path.write_text(text)
        return self.path

    def add(self, text: str) -> Path:
        """Write more at its end."""
        self.path.write_text(self.text + text)
        return self.path


@pytest.fixture
def file(tmp_path: Path, keys: str, sqlite_template: Path) -> ConfigurationFile:
    """A configuration that is right, beside its database."""
    shutil.copy(sqlite_template, tmp_path / "passwords.db")
    path = tmp_path / "sealpass.toml"
    path.write_text(TEMPLATE.format(folder=tmp_path, keys=keys))
    return ConfigurationFile(path)


Refuse = Callable[[Path], list[str]]
