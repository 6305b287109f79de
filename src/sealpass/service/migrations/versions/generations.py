# SPDX-License-Identifier: Apache-2.0
"""Of each subject: the generation of its passwords, and the count of comparisons with earlier ones."""

import sqlalchemy as sa
from alembic import op

revision = "2"
down_revision = "1"


def upgrade() -> None:
    """Subjects that are there begin with generation 0 and nothing counted."""
    number = sa.Integer()
    op.add_column("sealpass_subject", sa.Column("generation", number, nullable=False, server_default="0"))
    op.add_column("sealpass_subject", sa.Column("reuse_checks", number, nullable=False, server_default="0"))
    op.add_column("sealpass_subject", sa.Column("reuse_locked_until", sa.Double))
