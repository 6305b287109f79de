# SPDX-License-Identifier: Apache-2.0
"""Subjects, their records, nonces and checkpoints."""

import sqlalchemy as sa
from alembic import op

revision = "1"
down_revision = None

_KEY_TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
_SERIAL = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
_SEALED_AS = "'$sealpass$v=1$k=' || key_id || '$a=' || algorithm || '$'"


def upgrade() -> None:
    """From an empty database."""
    _password_tables()
    _nonce_table()
    op.create_table(
        "sealpass_checkpoint",
        sa.Column("job", _KEY_TEXT, nullable=False),
        sa.Column("part", sa.Integer, nullable=False),
        sa.Column("first", sa.Text),
        sa.Column("end", sa.Text),
        sa.Column("after_subject", sa.Text),
        sa.Column("after_slot", sa.Text),
        sa.Column("after_sequence", sa.Integer),
        sa.Column("examined", sa.BigInteger, nullable=False),
        sa.Column("replaced", sa.BigInteger, nullable=False),
        sa.Column("finished", sa.Boolean, nullable=False),
        sa.PrimaryKeyConstraint("job", "part", name="pk_sealpass_checkpoint"),
    )


def _password_tables() -> None:
    op.create_table(
        "sealpass_subject",
        sa.Column("subject", _KEY_TEXT, nullable=False),
        sa.Column("must_change", sa.Boolean, nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("locked_until", sa.Double),
        sa.Column("changed_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("subject", name="pk_sealpass_subject"),
        sa.CheckConstraint("length(subject) BETWEEN 1 AND 128", name=op.f("ck_sealpass_subject_subject_length")),
    )
    op.create_table(
        "sealpass_record",
        sa.Column("subject", _KEY_TEXT, nullable=False),
        sa.Column("slot", _KEY_TEXT, nullable=False),
        sa.Column("sequence", sa.Integer, nullable=False),
        sa.Column("record", sa.Text, nullable=False),
        sa.Column("key_id", sa.Text),
        sa.Column("algorithm", sa.Text),
        sa.Column("made_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("subject", "slot", "sequence", name="pk_sealpass_record"),
        sa.ForeignKeyConstraint(
            ["subject"], ["sealpass_subject.subject"], ondelete="CASCADE", name="fk_sealpass_record_subject"
        ),
        sa.CheckConstraint("slot IN ('current', 'history', 'letter')", name=op.f("ck_sealpass_record_slot")),
        sa.CheckConstraint("slot = 'history' OR sequence = 0", name=op.f("ck_sealpass_record_one_current_one_letter")),
        sa.CheckConstraint("length(record) BETWEEN 1 AND 1024", name=op.f("ck_sealpass_record_record_length")),
        sa.CheckConstraint(
            "CASE WHEN key_id IS NULL OR algorithm IS NULL"
            " THEN key_id IS NULL AND algorithm IS NULL AND substr(record, 1, 10) <> '$sealpass$'"
            f" ELSE substr(record, 1, length({_SEALED_AS})) = {_SEALED_AS} END",
            name=op.f("ck_sealpass_record_key_id_is_the_records"),
        ),
        sqlite_with_rowid=False,
    )


def _nonce_table() -> None:
    op.create_table(
        "sealpass_nonce",
        sa.Column("sequence", _SERIAL, sa.Identity(always=True), nullable=False),
        sa.Column("nonce", _KEY_TEXT, nullable=False),
        sa.Column("session", _KEY_TEXT, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("profile", sa.Text, nullable=False),
        sa.Column("alg", sa.Text, nullable=False),
        sa.Column("encs", sa.Text, nullable=False),
        sa.Column("kid", sa.Text, nullable=False),
        sa.Column("lifetime", sa.Double, nullable=False),
        sa.Column("expires_at", sa.Double, nullable=False),
        sa.PrimaryKeyConstraint("sequence", name="pk_sealpass_nonce"),
        sa.UniqueConstraint("nonce", name="uq_sealpass_nonce_nonce"),
    )
    op.create_index("ix_sealpass_nonce_session_sequence", "sealpass_nonce", ["session", "sequence"])
    op.create_index("ix_sealpass_nonce_expires_at", "sealpass_nonce", ["expires_at"])
