# SPDX-License-Identifier: Apache-2.0
"""The contract as cases, by the ids of the catalogue in docs/qualification.md."""
