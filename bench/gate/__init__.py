# SPDX-License-Identifier: Apache-2.0
"""The speed gate: is this key slower than it was, or than that one? A rule that holds on a noisy machine."""
