# SPDX-License-Identifier: Apache-2.0
"""Key backends, one module or folder a device family; they do not know each other."""
