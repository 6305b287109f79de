# SPDX-License-Identifier: Apache-2.0
"""The floor of sealpass: values, protocols, errors, the contract. No I/O, no device SDK."""
