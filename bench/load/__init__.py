# SPDX-License-Identifier: Apache-2.0
"""Load on keys: closed and open loops over threads, sessions and processes, and the ``sealpass.run/1`` document."""
