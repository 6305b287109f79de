# SPDX-License-Identifier: Apache-2.0
"""What a qualification knows and no report tells: passwords, PINs."""

import json
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.__main__ import main
from sealpass.bench.qualification import Options, flow, qualification, qualify
from sealpass.bench.report import markdown, terminal
from sealpass.core.jwe_profile import SEALPASS
from sealpass.core.kms_profile import AIRLOCK_KMS
from sealpass.core.profile import Profile
from tests.bench import planted
from tests.bench.conftest import TINY
from tests.support.soft_tokens import SoftToken

FEWEST = 200
"""Passwords of a qualification: one a case, and one a measured operation."""
_TELLING = 8
"""Shorter ones, which some cases are about, would be found in any text."""


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """Every password that the bench makes, as it makes it."""
    passwords: set[str] = set()
    whole = flow.Flow.__init__

    def recording(one: flow.Flow, *arguments: Any, **options: Any) -> None:
        whole(one, *arguments, **options)
        passwords.add(one.password)

    monkeypatch.setattr(flow.Flow, "__init__", recording)
    return passwords


def told(passwords: set[str], *reports: str) -> list[str]:
    """The passwords that a report holds."""
    return [one for one in passwords if len(one) >= _TELLING and any(one in report for report in reports)]


@pytest.mark.parametrize("profile", [SEALPASS, AIRLOCK_KMS], ids=lambda profile: profile.name)
@pytest.mark.parametrize("plant", [planted.SoundKey, planted.IgnoresTheTag, planted.MixesThreadsUp])
def test_no_password_is_in_any_report(
    plant: type[planted.SoundKey], profile: Profile, made: set[str], private_key: rsa.RSAPrivateKey, tiny: Options
) -> None:
    """None of the passwords that were sent is in the JSON, the Markdown or the terminal's text, pass or fail."""
    document = qualify(plant(private_key), profile, tiny)
    assert len(made) > FEWEST
    written = json.dumps(document, ensure_ascii=False)
    assert told(made, written, json.dumps(document), markdown.render(document), terminal.render(document)) == []


@pytest.mark.parametrize("options", [[], ["--json"]], ids=["text", "json"])
def test_neither_pin_nor_password_leaves_the_command(
    options: list[str],
    made: set[str],
    softhsm2: SoftToken,
    capfdbinary: pytest.CaptureFixture[bytes],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """PIN, SO PIN and passwords of a qualified token are in none of the files and on neither output."""
    monkeypatch.setattr(qualification, "QUICK", TINY)
    assert main(["qualify", "--quick", "--allow-sha1", softhsm2.shared_key(), "--out", str(tmp_path), *options]) == 0
    assert len(made) > FEWEST
    captured = capfdbinary.readouterr()
    texts = [captured.out.decode(), captured.err.decode(), *(path.read_text() for path in tmp_path.iterdir())]
    assert len(texts) == 5
    pins = {softhsm2.pin, (softhsm2.directory / "so-pin").read_text().strip()}
    assert min(map(len, pins)) >= _TELLING
    assert told(pins | made, *texts) == []
