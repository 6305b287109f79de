# SPDX-License-Identifier: Apache-2.0
"""The steps. A step that was released is never edited, and names no table of schema.py, which goes on changing."""
