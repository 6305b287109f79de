# SPDX-License-Identifier: Apache-2.0
"""How long a password may be, wherever one is taken or hashed. Apart, because a policy needs no cryptography."""

MAX_PASSWORD_BYTES = 4096
"""In UTF-8. No login takes a longer one, so none is hashed."""
