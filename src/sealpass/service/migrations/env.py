# SPDX-License-Identifier: Apache-2.0
"""What Alembic runs for each of its commands; only with the connection that ``upgrade`` lends it."""

from alembic import context

from sealpass.service.schema import METADATA, VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=METADATA,
    version_table=VERSION_TABLE,
    transactional_ddl=True,  # SQLite's as well: upgrade() began a transaction, and ends it
)
with context.begin_transaction():
    context.run_migrations()
