# SPDX-License-Identifier: Apache-2.0
"""Views of result files: each a pure function of the JSON."""
