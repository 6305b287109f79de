# SPDX-License-Identifier: Apache-2.0
"""The catalogue in the documentation and the cases in the code are the same."""

import re
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.bench.qualification.cases import NOT_COVERED, all_cases
from sealpass.bench.qualification.device import Subject
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS
from tests.bench.planted import SoundKey

GUIDE = Path(__file__).parents[2] / "docs" / "qualification.md"


def entries(private_key: rsa.RSAPrivateKey) -> set[str]:
    """The catalogue's entries for which there are cases, under any profile."""
    key = SoundKey(private_key)
    subjects = [
        Subject(key, SEALPASS, "RSA-OAEP-256", "A256GCM"),
        Subject(key, AIRLOCK_JWE, "RSA-OAEP-256", "A128GCM"),
    ]
    return {case.id.rstrip("abcdefghijklmnopqrstuvwxyz") for subject in subjects for case in all_cases(subject)}


def test_the_guide_lists_what_is_covered(private_key: rsa.RSAPrivateKey) -> None:
    """Every entry with cases stands in the guide's table, and nothing else does."""
    table = GUIDE.read_text(encoding="utf-8").split("## The catalogue")[1].split("Not covered:")[0]
    first_cells = " ".join(re.findall(r"^\| ([VAHECPR][^|]*)\|", table, flags=re.MULTILINE))
    listed = set(re.findall(r"[A-Z]\d+", first_cells.replace("V1 to V5", "V1 V2 V3 V4 V5")))
    assert listed == entries(private_key)


def test_the_guide_lists_what_is_not_covered() -> None:
    """Every entry without a case is named in the guide, and has a reason in the code."""
    sentence = GUIDE.read_text(encoding="utf-8").split("Not covered:")[1].split("## ")[0]
    assert set(re.findall(r"[A-Z]\d+", sentence)) == set(re.findall(r"[A-Z]\d+", " ".join(NOT_COVERED)))


def test_nothing_is_both_covered_and_not(private_key: rsa.RSAPrivateKey) -> None:
    """An entry has cases or a reason for having none."""
    assert not entries(private_key) & set(re.findall(r"[A-Z]\d+", " ".join(NOT_COVERED)))
