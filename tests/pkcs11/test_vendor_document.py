# SPDX-License-Identifier: Apache-2.0
"""docs/pkcs11-vendors.md is made from the profiles; ``python -m tests.pkcs11.test_vendor_document`` writes it."""

import re
import sys
from pathlib import Path

from sealpass.backends.matrix import name_of
from sealpass.backends.pkcs11 import ATTRIBUTES, return_values
from sealpass.backends.pkcs11.cryptoki import CKM_AES_GCM
from sealpass.backends.pkcs11.vendor_profile import GcmSealing, InitMode, VendorProfile
from sealpass.backends.pkcs11.vendor_profiles import DEFAULT, PROFILES, by_file, named
from sealpass.core.algorithms import OAEP_VARIANTS
from sealpass.core.uri import KeyUri

DOCUMENT = Path(__file__).parents[2] / "docs" / "pkcs11-vendors.md"
_PLACE = re.compile(r"(?<=-->\n).*?(?=<!-- /profiles -->)", re.DOTALL)
_THREADS = {
    InitMode.OS_LOCKING: "as many calls at a time as there are sessions; the module locks for itself (os-locking)",
    InitMode.PLAIN: "one call at a time, whatever your program does (plain)",
}
"""How a module is initialised, and what that means for the reader."""
_HEADINGS = ("profile", "device", "sessions", "tries to unwrap", "`CKA_VALUE_LEN`", "seals: the IV is", "status")


def _sessions(profile: VendorProfile) -> str:
    parts = ["read-write" if profile.rw_sessions else "read-only"]
    if profile.max_sessions is not None:
        parts.append(f"at most {profile.max_sessions}")
    parts += [
        f"none left: {return_values.name_of(rv)}"
        for rv in sorted(profile.session_limit - {return_values.CKR_SESSION_COUNT})
    ]
    return ", ".join(parts)


def _unwraps(profile: VendorProfile) -> str:
    names = "every variant" if profile.oaep == OAEP_VARIANTS else ", ".join(map(name_of, profile.oaep))
    return f"{' or '.join(profile.unwrap_modes)}; {names}"


def _seals(how: GcmSealing | None) -> str:
    if how is None:
        return "no AES-GCM"
    parts = [f"{how.iv} ({how.iv_bytes} bytes)"]
    if how.mechanism != CKM_AES_GCM:
        parts.append(f"mechanism 0x{how.mechanism:08X}")
    if how.longest is not None:
        parts.append(f"at most {how.longest} bytes")
    return ", ".join(parts)


def _row(profile: VendorProfile) -> str:
    cells = (
        f"`{profile.name}`",
        profile.device,
        _sessions(profile),
        _unwraps(profile),
        profile.value_len.value,
        _seals(profile.sealing),
        f"*{profile.status}*" if profile.status.startswith("untested") else profile.status,
    )
    return f"| {' | '.join(cells)} |"


def _details(profile: VendorProfile) -> list[str]:
    lines = [f"**`{profile.name}`** ({profile.device}; {profile.status})", ""]
    signs = ", ".join(f"{sign} `{pattern}`" for sign, pattern in profile.signs)
    lines.append(f"- chosen by: {signs or 'name only'}")
    lines.append(f"- threads: {_THREADS[profile.init_mode]}")
    if profile.module_args is not None:
        lines[-1] += f"; `module-args` may be {profile.module_args}"
    lines += [f"- {return_values.name_of(rv)} means {meaning}" for rv, meaning in profile.meanings]
    if profile.notes:
        lines.append(f"- {profile.notes}")
    for source in profile.sources:
        where = f"<{source.where}>" if re.fullmatch(r"https://\S+", source.where) else source.where
        lines.append(f"- source: {source.about}: {where}")
    return [*lines, ""]


def generated() -> str:
    """Table and sources as Markdown."""
    lines = [f"| {' | '.join(_HEADINGS)} |", "|---" * len(_HEADINGS) + "|", *map(_row, PROFILES), ""]
    lines += ["### Signs and sources", ""]
    for profile in PROFILES[1:]:
        lines += _details(profile)
    return "\n".join(lines)


def test_the_document_shows_the_shipped_profiles() -> None:
    """What stands between the marks is what the data make."""
    found = _PLACE.search(DOCUMENT.read_text(encoding="utf-8"))
    assert found is not None
    assert found[0] == generated()


def _written() -> str:
    """What people wrote, which comes first."""
    return DOCUMENT.read_text(encoding="utf-8").partition("<!-- made by:")[0]


def _examples() -> list[KeyUri]:
    return [KeyUri.parse(uri) for uri in re.findall(r"pkcs11:token=[^\s'\"`]+", _written())]


def test_the_document_begins_with_what_to_do() -> None:
    """A reader with a device finds the first command on the first screen, and sources after everything else."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    assert "## Your first hour" in lines[:12]
    assert any(line.lstrip().startswith("$ sealpass ") for line in lines[:25])
    assert not re.search(r"^- source: ", _written(), re.MULTILINE)


def test_every_example_is_a_uri_of_this_version() -> None:
    """No example has an attribute that is refused, or lacks module and PIN."""
    assert len(_examples()) > 10
    for uri in _examples():
        uri.check_attributes(ATTRIBUTES)
        assert uri.octets("module-path")
        assert uri.octets("pin-source")


def test_every_profile_has_a_card_and_its_example_chooses_it() -> None:
    """A profile that a file name or the URI chooses is the one of an example; the others are named."""
    chosen = {
        named(name) if (name := uri.text("profile")) else by_file(uri.require("module-path")) for uri in _examples()
    }
    for profile in PROFILES:
        assert f"`{profile.name}`" in _written()
    assert {profile.name for profile in PROFILES if profile is not DEFAULT} - {one.name for one in chosen} == {
        "softhsm2",  # whose URIs a command prints
        "nss",
    }


def test_every_untested_profile_is_marked() -> None:
    """A reader of the table sees in each row whether anybody has tried it."""
    rows = [line for line in generated().splitlines() if line.startswith("| `")]
    assert len(rows) == len(PROFILES)
    assert sum("*untested on hardware*" in row for row in rows) == sum(p.tested_on is None for p in PROFILES[1:])


if __name__ == "__main__":
    text = DOCUMENT.read_text(encoding="utf-8")
    DOCUMENT.write_text(_PLACE.sub(lambda _: generated(), text, count=1), encoding="utf-8")
    sys.stdout.write(generated())
