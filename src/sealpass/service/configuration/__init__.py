# SPDX-License-Identifier: Apache-2.0
"""One TOML file for a password service: read, checked, opened, and its rings read again while it runs."""

from sealpass.service.configuration.findings import ConfigurationRefused, Finding, FindingCode, Severity
from sealpass.service.configuration.opening import PasswordService, open_service
from sealpass.service.configuration.reading import read_configuration
from sealpass.service.configuration.reloading import Reloaded
from sealpass.service.configuration.values import Configuration

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
