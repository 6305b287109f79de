# SPDX-License-Identifier: Apache-2.0
"""The tables, as this version of sealpass uses them. ``migrations/`` makes them; a test holds the two together.

Times are seconds since 1970 by the database's clock, or by the clock that a Database was given.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Table,
    Text,
)

TABLE_PREFIX = "sealpass_"
"""Of every table, so that they may stand in a database beside others."""
VERSION_TABLE = f"{TABLE_PREFIX}schema_version"


METADATA = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Compared octet by octet on every database: a scan in key order must not depend on the server's language.
_KEY_TEXT = Text().with_variant(Text(collation="C"), "postgresql")
_SERIAL = BigInteger().with_variant(Integer(), "sqlite")

SUBJECTS = Table(
    f"{TABLE_PREFIX}subject",
    METADATA,
    Column("subject", _KEY_TEXT, primary_key=True),
    Column("must_change", Boolean, nullable=False),
    Column("failures", Integer, nullable=False),
    Column("locked_until", Double),
    Column("changed_at", Double, nullable=False),
    Column("generation", Integer, nullable=False, server_default="0"),
    Column("reuse_checks", Integer, nullable=False, server_default="0"),
    Column("reuse_locked_until", Double),
    CheckConstraint("length(subject) BETWEEN 1 AND 128", name="subject_length"),
)

# substr, not LIKE: a key id may hold '_', and SQLite's LIKE ignores case.
_SEALED_AS = "'$sealpass$v=1$k=' || key_id || '$a=' || algorithm || '$'"
_KEY_ID_IS_THE_RECORDS = (
    "CASE WHEN key_id IS NULL OR algorithm IS NULL"
    " THEN key_id IS NULL AND algorithm IS NULL AND substr(record, 1, 10) <> '$sealpass$'"
    f" ELSE substr(record, 1, length({_SEALED_AS})) = {_SEALED_AS} END"
)

RECORDS = Table(
    f"{TABLE_PREFIX}record",
    METADATA,
    Column("subject", _KEY_TEXT, ForeignKey(SUBJECTS.c.subject, ondelete="CASCADE"), primary_key=True),
    Column("slot", _KEY_TEXT, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    Column("record", Text, nullable=False),
    Column("key_id", Text),
    Column("algorithm", Text),
    Column("made_at", Double, nullable=False),
    CheckConstraint("slot IN ('current', 'history', 'letter')", name="slot"),
    CheckConstraint("slot = 'history' OR sequence = 0", name="one_current_one_letter"),
    CheckConstraint("length(record) BETWEEN 1 AND 1024", name="record_length"),
    CheckConstraint(_KEY_ID_IS_THE_RECORDS, name="key_id_is_the_records"),
    sqlite_with_rowid=False,  # kept in key order, as scans read it
)

NONCES = Table(
    f"{TABLE_PREFIX}nonce",
    METADATA,
    Column("sequence", _SERIAL, Identity(always=True), primary_key=True),
    Column("nonce", _KEY_TEXT, nullable=False, unique=True),
    Column("session", _KEY_TEXT, nullable=False),
    Column("purpose", Text, nullable=False),
    Column("profile", Text, nullable=False),
    Column("alg", Text, nullable=False),
    Column("encs", Text, nullable=False),
    Column("kid", Text, nullable=False),
    Column("lifetime", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
)
Index(None, NONCES.c.session, NONCES.c.sequence)
Index(None, NONCES.c.expires_at)

CHECKPOINTS = Table(
    f"{TABLE_PREFIX}checkpoint",
    METADATA,
    Column("job", _KEY_TEXT, primary_key=True),
    Column("part", Integer, primary_key=True, autoincrement=False),
    Column("first", Text),
    Column("end", Text),
    Column("after_subject", Text),
    Column("after_slot", Text),
    Column("after_sequence", Integer),
    Column("examined", BigInteger, nullable=False),
    Column("replaced", BigInteger, nullable=False),
    Column("finished", Boolean, nullable=False),
)
