# SPDX-License-Identifier: Apache-2.0
"""One TOML file for a password service: read, checked, opened, and its rings read again while it runs."""

from sealpass.core.errors import MissingDependency

_missing: str | None = None
try:
    from sealpass.service.configuration.findings import ConfigurationRefused, Finding, FindingCode, Severity
    from sealpass.service.configuration.opening import PasswordService, open_service
    from sealpass.service.configuration.reading import read_configuration
    from sealpass.service.configuration.reloading import Reloaded
    from sealpass.service.configuration.values import Configuration
except ModuleNotFoundError as error:
    # A missing module of our own is a bug, not a missing extra.
    if (error.name or "").startswith("sealpass"):
        raise
    _missing = (error.name or "").partition(".")[0]
if _missing is not None:  # here, where nothing is being handled
    raise MissingDependency("service", _missing)

__all__ = [
    "Configuration",
    "ConfigurationRefused",
    "Finding",
    "FindingCode",
    "PasswordService",
    "Reloaded",
    "Severity",
    "open_service",
    "read_configuration",
]
