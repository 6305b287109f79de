# SPDX-License-Identifier: Apache-2.0
"""``sealpass qualify``: exit status, files and what goes where."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.__main__ import main
from sealpass.bench.qualification import qualification
from sealpass.core.uri import KeyUri
from tests.bench import planted
from tests.bench.conftest import TINY


@dataclass(frozen=True, slots=True)
class Result:
    """What a command left behind."""

    status: int
    output: str
    words: str


Run = Callable[[Sequence[str]], Result]


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch, private_key: rsa.RSAPrivateKey) -> dict[str, type[planted.SoundKey]]:
    """Which key answers to which path; every other one is sound."""
    keys: dict[str, type[planted.SoundKey]] = {}

    def open_key(uri: KeyUri, **_options: Any) -> planted.SoundKey:
        return keys.get(uri.require("path"), planted.SoundKey)(private_key)

    monkeypatch.setattr(qualification, "open_key", open_key)
    monkeypatch.setattr(qualification, "QUICK", TINY)
    return keys


@pytest.fixture
def run(opened: dict[str, type[planted.SoundKey]], capfdbinary: pytest.CaptureFixture[bytes]) -> Run:
    """Run ``sealpass qualify --quick`` in this process."""

    def call(arguments: Sequence[str]) -> Result:
        status = main(["qualify", "--quick", *arguments])
        captured = capfdbinary.readouterr()
        return Result(status, captured.out.decode("utf-8"), captured.err.decode("utf-8"))

    return call


def test_a_pass_prints_a_table_and_writes_two_files(run: Run, tmp_path: Path) -> None:
    """A key that passes gives status 0, a table on standard output, and a JSON and a Markdown file."""
    out = tmp_path / "reports"
    result = run(["software:path=good.pem", "--out", str(out)])
    assert result.status == 0
    assert "PASS: " in result.output
    assert f"report: {out}/software-good-sealpass.json\n" in result.output
    assert sorted(path.name for path in out.iterdir()) == ["software-good-sealpass.json", "software-good-sealpass.md"]
    document = json.loads((out / "software-good-sealpass.json").read_text(encoding="utf-8"))
    assert document["schema"] == "sealpass.qualification/1"
    assert document["verdict"]["verdict"] == "pass"
    assert (out / "software-good-sealpass.md").read_text(encoding="utf-8").startswith("# PASS")


def test_progress_is_a_line_a_stage_on_standard_error(run: Run) -> None:
    """Away from a terminal each stage is one line on standard error, and standard output has the report only."""
    result = run(["software:path=good.pem"])
    assert [line.removeprefix("sealpass: ") for line in result.words.splitlines()] == [
        "software:path=good.pem",
        "opening the key",
        "capabilities",
        "contract cases",
        "speed",
    ]
    assert "opening the key" not in result.output


@pytest.mark.parametrize(
    ("plant", "status", "word"),
    [
        (planted.IgnoresTheTag, 1, "FAIL: "),
        (planted.Sha1Only, 1, "FAIL: "),
        (planted.GoesAway, 4, "INCONCLUSIVE: "),
    ],
)
def test_the_exit_status_is_the_verdict(
    plant: type[planted.SoundKey],
    status: int,
    word: str,
    run: Run,
    opened: dict[str, type[planted.SoundKey]],
) -> None:
    """A failed qualification gives status 1, an inconclusive one 4."""
    opened["bad.pem"] = plant
    result = run(["software:path=bad.pem"])
    assert result.status == status
    assert word in result.output


def test_sha1_is_an_explicit_opt_in(run: Run, opened: dict[str, type[planted.SoundKey]], tmp_path: Path) -> None:
    """With --allow-sha1 a SHA-1 token passes; the report says what is not supported, in a file of its own name."""
    opened["old.pem"] = planted.Sha1Only
    result = run(["software:path=old.pem", "--allow-sha1", "--out", str(tmp_path)])
    assert result.status == 0
    assert "RSA-OAEP-256, the default of profile sealpass, is NOT supported" in result.output
    assert (tmp_path / "software-old-sealpass-sha1.json").exists()


def test_several_keys_have_one_verdict_and_files_each(
    run: Run, opened: dict[str, type[planted.SoundKey]], tmp_path: Path
) -> None:
    """With several keys the worst decides, and equal names do not overwrite each other."""
    opened["b/key.pem"] = planted.IgnoresTheTag
    result = run(["software:path=a/key.pem", "software:path=b/key.pem", "--out", str(tmp_path)])
    assert result.status == 1
    assert result.output.rstrip().endswith("FAIL: all 2 keys together")
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "software-key-sealpass-2.json",
        "software-key-sealpass-2.md",
        "software-key-sealpass.json",
        "software-key-sealpass.md",
    ]


def test_json_is_one_object_on_standard_output(run: Run, tmp_path: Path) -> None:
    """--json gives one object with the verdict, the paths and every document."""
    result = run(["software:path=good.pem", "--json", "--out", str(tmp_path)])
    answer = json.loads(result.output)
    assert (answer["verdict"], answer["exit_code"], result.status) == ("pass", 0, 0)
    assert [Path(path).name for path in answer["reports"][0].values()] == [
        "software-good-sealpass.json",
        "software-good-sealpass.md",
    ]
    assert answer["keys"][0] == json.loads(Path(answer["reports"][0]["json"]).read_text(encoding="utf-8"))


def test_an_unusable_directory_is_found_before_any_work(run: Run, tmp_path: Path) -> None:
    """Where reports cannot be written the command ends with status 2 and opens no key."""
    (tmp_path / "file").write_text("", encoding="utf-8")
    result = run(["software:path=good.pem", "--out", str(tmp_path / "file" / "reports")])
    assert result.status == 2
    assert "opening the key" not in result.words


def test_a_malformed_uri_is_found_before_any_work(run: Run) -> None:
    """The second URI is read before the first key is opened."""
    result = run(["software:path=good.pem", "no uri"])
    assert result.status == 2
    assert "opening the key" not in result.words


def test_an_interrupt_leaves_no_report(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C in the middle gives status 130 and leaves the directory empty."""

    def interrupt(*_arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(qualification, "measure", interrupt)
    result = run(["software:path=good.pem", "--out", str(tmp_path)])
    assert result.status == 130
    assert list(tmp_path.iterdir()) == []
