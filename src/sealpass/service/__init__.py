# SPDX-License-Identifier: Apache-2.0
"""What stands around the key in a server: the browser client, SQL storage, legacy hashes; REST later."""
