# SPDX-License-Identifier: Apache-2.0
"""Where a result was taken: processor, system and library versions, and how busy the machine was. No host name."""

import os
import platform
from pathlib import Path
from typing import Any

import cryptography
from cryptography.hazmat.backends.openssl import backend

_CPUINFO = Path("/proc/cpuinfo")


def cpu_model(cpuinfo: str | None = None) -> str | None:
    """The name of the processor, or None where the system does not tell."""
    if cpuinfo is None:
        try:
            cpuinfo = _CPUINFO.read_text(encoding="utf-8", errors="replace")
        except OSError:
            return platform.processor() or None
    for line in cpuinfo.splitlines():
        name, colon, value = line.partition(":")
        # Some ARM kernels write "Hardware" or nothing at all.
        if colon and name.strip() in {"model name", "Hardware", "cpu model"}:
            return value.strip()
    return None


def usable_cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def load_average() -> list[float] | None:
    """The load of the last 1, 5 and 15 minutes, or None where the system does not tell."""
    try:
        return [round(load, 2) for load in os.getloadavg()]
    except (AttributeError, OSError):
        return None


def host() -> dict[str, Any]:
    """The host fingerprint; comparisons across different ones only warn."""
    return {
        "cpu": cpu_model(),
        "cores": usable_cores(),
        "machine": platform.machine(),
        "system": platform.system(),
        "kernel": platform.release(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "cryptography": cryptography.__version__,
        "openssl": backend.openssl_version_text(),
    }
