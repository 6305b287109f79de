# SPDX-License-Identifier: Apache-2.0
"""Soft tokens to develop, test and demonstrate on."""
