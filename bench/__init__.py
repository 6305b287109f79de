# SPDX-License-Identifier: Apache-2.0
"""Qualification, load generation, statistics, gate, reports. Results are JSON first, views after."""
