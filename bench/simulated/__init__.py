# SPDX-License-Identifier: Apache-2.0
"""A device whose truth is known: what the statistics of the load engine are proved on."""
