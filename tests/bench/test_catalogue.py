# SPDX-License-Identifier: Apache-2.0
"""The catalogue in the documentation and the cases in the code are the same."""

import re
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa

from sealpass.bench.qualification.device import Subject
from sealpass.bench.qualification.dialect import all_cases, dialect_of
from sealpass.core.jwe_profile import AIRLOCK_JWE, SEALPASS
from sealpass.core.kms_profile import AIRLOCK_KMS
from sealpass.core.profile import Profile
from tests.bench.planted import SoundKey

GUIDE = Path(__file__).parents[2] / "docs" / "qualification.md"
CATALOGUE = {"V": 5, "A": 16, "H": 12, "E": 6, "C": 6, "P": 9, "R": 9}
"""How many entries each part has."""
DIALECTS = {"compact JWE": (SEALPASS, AIRLOCK_JWE), "airlock-kms": (AIRLOCK_KMS,)}
"""The columns of the guide's table, and the profiles of each."""


def ids(text: str) -> set[str]:
    """The catalogue ids in a text; ``V1 to V5`` is five of them."""
    spelled = re.sub(
        r"([A-Z])(\d+) to \1(\d+)",
        lambda found: " ".join(f"{found[1]}{number}" for number in range(int(found[2]), int(found[3]) + 1)),
        text,
    )
    return set(re.findall(r"\b[VAHECPR]\d+\b", spelled))


def entries(private_key: rsa.RSAPrivateKey, dialect: str) -> set[str]:
    """The catalogue's entries for which a dialect has cases, under any of its profiles."""
    key = SoundKey(private_key)
    subjects = [Subject(key, profile, "RSA-OAEP-256", profile.encs[0]) for profile in DIALECTS[dialect]]
    return {case.id.rstrip("abcdefghijklmnopqrstuvwxyz") for subject in subjects for case in all_cases(subject)}


def excused(dialect: str) -> set[str]:
    """The entries for which a dialect has a reason to have no case."""
    return ids(" ".join(dialect_of(DIALECTS[dialect][0]).not_covered))


def listed(dialect: str) -> set[str]:
    """The entries that the guide's table says a dialect has cases of."""
    table = GUIDE.read_text(encoding="utf-8").split("## The catalogue")[1].split("Not covered")[0]
    rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|")]
    column = rows[0].index(dialect)
    return ids(" ".join(row[0] for row in rows if row[column] not in {"", "-"}))


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_guide_lists_what_is_covered(dialect: str, private_key: rsa.RSAPrivateKey) -> None:
    """Every entry with cases stands in the guide's table, under its dialect, and nothing else does."""
    assert listed(dialect) == entries(private_key, dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_guide_lists_what_is_not_covered(dialect: str) -> None:
    """Every entry without a case is named in the guide, and has a reason in the code."""
    guide = GUIDE.read_text(encoding="utf-8")
    [line] = [line for line in guide.splitlines() if line.startswith(f"Not covered under {dialect}:")]
    assert ids(line) == excused(dialect)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_entry_has_cases_or_a_reason(dialect: str, private_key: rsa.RSAPrivateKey) -> None:
    """Nothing of the catalogue is passed over, and nothing is both covered and not."""
    catalogue = {f"{part}{number}" for part, count in CATALOGUE.items() for number in range(1, count + 1)}
    covered, reasons = entries(private_key, dialect), excused(dialect)
    assert covered & reasons == set()
    assert covered | reasons == catalogue


@pytest.mark.parametrize("profile", [SEALPASS, AIRLOCK_JWE, AIRLOCK_KMS], ids=lambda profile: profile.name)
def test_ids_are_unique(profile: Profile, private_key: rsa.RSAPrivateKey) -> None:
    """No id names two cases of a profile."""
    found = [case.id for case in all_cases(Subject(SoundKey(private_key), profile, "RSA-OAEP-256", profile.encs[0]))]
    assert len(found) == len(set(found)) > 120
