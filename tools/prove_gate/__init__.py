# SPDX-License-Identifier: Apache-2.0
"""The proof of the gate on a real token with a noisy neighbour."""
