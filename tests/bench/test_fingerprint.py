# SPDX-License-Identifier: Apache-2.0
"""The host fingerprint."""

import platform

import pytest

from sealpass.bench import fingerprint

X86 = "processor\t: 0\nvendor_id\t: GenuineIntel\nmodel name\t: Intel(R) Xeon(R) CPU\nstepping\t: 7\n"
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd\n\nHardware\t: BCM2835\n"


@pytest.mark.parametrize(
    ("cpuinfo", "expected"),
    [(X86, "Intel(R) Xeon(R) CPU"), (ARM, "BCM2835"), ("processor\t: 0\n", None), ("", None)],
)
def test_the_processor_is_named_where_the_system_names_it(cpuinfo: str, expected: str | None) -> None:
    """The model is read from what Linux tells; where it tells nothing there is no name."""
    assert fingerprint.cpu_model(cpuinfo) == expected


def test_the_host_is_described_without_its_name() -> None:
    """The fingerprint has the versions that matter and no host name."""
    host = fingerprint.host()
    assert host["cores"] >= 1
    assert host["python"].endswith(platform.python_version())
    assert "SSL" in host["openssl"]
    assert platform.node() not in host.values()
