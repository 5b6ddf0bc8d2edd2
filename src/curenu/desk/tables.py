"""The tables of the desk, one schema for SQLite and PostgreSQL.

Nothing that names a person stands outside `vault`: the others hold counts, commitments, digests
and the short names of the people who work at the desk.
"""

from __future__ import annotations

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    DateTime,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from curenu.desk.states import BATCH, BUSY, DENIALS, ENDED, GROUNDS, REQUEST, TARGET

__all__ = [
    "HAS_ENDED", "IS_OPEN", "artifact", "attestation", "batch", "batch_request", "checkpoint",
    "clock", "decision", "evaluation", "hold", "lease", "log", "metadata", "model",
    "model_version", "outbox", "principal", "recipient", "request", "request_target", "token",
    "vault",
]  # fmt: skip

metadata = MetaData()
_ENDED_WORDS = ", ".join(f"'{word}'" for word in sorted(ENDED))
HAS_ENDED = f"status IN ({_ENDED_WORDS})"
IS_OPEN = f"status NOT IN ({_ENDED_WORDS})"
_DIGEST, _NAME, _ID = String(64), String(63), String(36)


def _time(name: str, *, optional: bool = False) -> Column:
    """Moments are in UTC; SQLite keeps no zone, so none is kept at all."""
    return Column(name, DateTime(), nullable=optional)


def _number() -> Column:
    return Column("id", Integer, primary_key=True)


def _one_of(column: str, words: object) -> CheckConstraint:
    said = ", ".join(f"'{word}'" for word in words)  # type: ignore[attr-defined]
    return CheckConstraint(f"{column} IN ({said})", name=f"{column}_is_known")


model = Table(
    "model", metadata,
    Column("name", _NAME, primary_key=True),
    Column("run", Text, nullable=False),
    Column("head", _DIGEST, nullable=False),
    Column("policy", Text, nullable=False),
    _time("registered"),
)  # fmt: skip
"""`run` is the folder with the released weights and `head` its ledger's: both change together."""

model_version = Table(
    "model_version", metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("model", ForeignKey("model.name"), nullable=False),
    Column("parent", ForeignKey("model_version.digest")),
    Column("kind", String(10), nullable=False),
    Column("state", String(10), nullable=False),
    Column("batch", ForeignKey("batch.id"), unique=True),
    Column("run", Text, nullable=False),
    Column("head", _DIGEST, nullable=False),
    Column("settings", _DIGEST, nullable=False),
    _time("made"),
    _one_of("kind", ("trained", "erased", "retrained", "derived")),
    _one_of("state", ("candidate", "current", "superseded", "tainted", "disposed")),
    Index("one_current", "model", unique=True, sqlite_where=text("state = 'current'"),
          postgresql_where=text("state = 'current'")),
)  # fmt: skip

artifact = Table(
    "artifact", metadata,
    Column("digest", _DIGEST, primary_key=True),
    Column("version", ForeignKey("model_version.digest"), nullable=False),
    Column("derived_from", ForeignKey("artifact.digest")),
    Column("marking", String(15), nullable=False),
    Column("as_of", Integer, nullable=False),
    _time("disposed", optional=True),
    Column("disposer", _NAME),
    Column("evidence", _DIGEST),
    CheckConstraint("disposed IS NULL OR evidence IS NOT NULL", name="a_disposal_has_evidence"),
    _one_of("marking", ("clean", "contains_erased", "unknown")),
)  # fmt: skip
"""`as_of` is the size of the log by which `marking` was found; `evidence` is SHA-256 of the list of
what a disposal destroyed."""

recipient = Table(
    "recipient", metadata, _number(),
    Column("version", ForeignKey("model_version.digest"), nullable=False),
    Column("name", _NAME, nullable=False),
    _time("notified", optional=True),
    _time("acknowledged", optional=True),
    UniqueConstraint("version", "name"),
)  # fmt: skip

request = Table(
    "request", metadata,
    Column("id", _ID, primary_key=True),
    Column("status", String(12), nullable=False),
    Column("regime", String(4), nullable=False),
    Column("submitter", _NAME, nullable=False),
    Column("commitment", _DIGEST, nullable=False, unique=True),
    Column("count", Integer, nullable=False),
    _time("received"),
    Column("due", Date, nullable=False),
    Column("extended", Integer, nullable=False, server_default="0"),
    Column("reason", String(20)),
    Column("ground", String(1)),
    Column("held_from", String(12)),
    _one_of("status", REQUEST),
    _one_of("regime", ("gdpr", "ccpa")),
    _one_of("reason", DENIALS),
    _one_of("ground", GROUNDS),
    CheckConstraint("status <> 'denied' OR reason IS NOT NULL", name="a_denial_has_a_reason"),
    Index("open_by_due", "due", "id", sqlite_where=text(IS_OPEN), postgresql_where=text(IS_OPEN)),
    Index("ended_by_due", "due", "id",
          sqlite_where=text(HAS_ENDED), postgresql_where=text(HAS_ENDED)),
)  # fmt: skip
"""The two indexes answer what is due; a query uses them by the very words of their conditions."""

request_target = Table(
    "request_target", metadata,
    Column("request", ForeignKey("request.id"), primary_key=True),
    Column("model", ForeignKey("model.name"), primary_key=True),
    Column("state", String(12), nullable=False),
    _one_of("state", TARGET),
    Index("by_state", "model", "state"),
)  # fmt: skip

vault = Table(
    "vault", metadata,
    Column("request", ForeignKey("request.id"), primary_key=True),
    Column("sealed", LargeBinary, nullable=False),
)  # fmt: skip
"""Salt, identity and example ids of a request, encrypted; the only rows that are deleted."""

decision = Table(
    "decision", metadata, _number(),
    Column("request", ForeignKey("request.id"), index=True),
    Column("batch", ForeignKey("batch.id"), index=True),
    Column("kind", String(12), nullable=False),
    Column("by", _NAME, nullable=False),
    Column("detail", String(40)),
    _time("time"),
    CheckConstraint("(request IS NULL) <> (batch IS NULL)", name="about_one_thing"),
)  # fmt: skip

hold = Table(
    "hold", metadata, _number(),
    Column("request", ForeignKey("request.id"), nullable=False, index=True),
    Column("by", _NAME, nullable=False),
    _time("placed"),
    _time("lifted", optional=True),
)  # fmt: skip

batch = Table(
    "batch", metadata,
    Column("id", _ID, primary_key=True),
    Column("model", ForeignKey("model.name"), nullable=False),
    Column("status", String(16), nullable=False),
    Column("way", String(9), nullable=False, server_default="erase"),
    Column("attempt", Integer, nullable=False, server_default="0"),
    Column("why", String(20)),
    _time("sealed", optional=True),
    _one_of("status", BATCH),
    _one_of("way", ("erase", "retrain")),
    Index("one_busy", "model", unique=True,
          sqlite_where=text(f"status IN {BUSY}"), postgresql_where=text(f"status IN {BUSY}")),
)  # fmt: skip

batch_request = Table(
    "batch_request", metadata,
    Column("batch", ForeignKey("batch.id"), primary_key=True),
    Column("request", ForeignKey("request.id"), primary_key=True),
    Column("model", ForeignKey("model.name"), nullable=False),
    Column("outcome", String(12)),
    UniqueConstraint("request", "model"),
)  # fmt: skip

lease = Table(
    "lease", metadata,
    Column("batch", ForeignKey("batch.id"), primary_key=True),
    Column("fence", Integer, nullable=False),
    Column("holder", _NAME, nullable=False),
    _time("until"),
)  # fmt: skip

evaluation = Table(
    "evaluation", metadata, _number(),
    Column("batch", ForeignKey("batch.id"), nullable=False, index=True),
    Column("attempt", Integer, nullable=False),
    Column("name", String(20), nullable=False),
    Column("value", Float, nullable=False),
    Column("low", Float),
    Column("high", Float),
    Column("oracle", Float),
    Column("passed", Integer, nullable=False),
    UniqueConstraint("batch", "attempt", "name"),
)  # fmt: skip

attestation = Table(
    "attestation", metadata,
    Column("batch", ForeignKey("batch.id"), primary_key=True),
    Column("release", Integer, nullable=False, unique=True),
    Column("entry", ForeignKey("log.index"), nullable=False, unique=True),
    Column("envelope", Text, nullable=False),
)  # fmt: skip

log = Table(
    "log", metadata,
    Column("index", Integer, primary_key=True, autoincrement=False),
    Column("entry", LargeBinary, nullable=False),
)  # fmt: skip

checkpoint = Table(
    "checkpoint", metadata,
    Column("size", Integer, primary_key=True, autoincrement=False),
    Column("note", Text, nullable=False),
)  # fmt: skip

outbox = Table(
    "outbox", metadata, _number(),
    Column("kind", String(20), nullable=False),
    Column("request", ForeignKey("request.id")),
    Column("version", ForeignKey("model_version.digest")),
    _time("made"),
    _time("sent", optional=True),
)  # fmt: skip

principal = Table(
    "principal", metadata,
    Column("name", _NAME, primary_key=True),
    Column("role", String(8), nullable=False),
    _one_of("role", ("intake", "approver", "operator", "auditor")),
)  # fmt: skip

token = Table(
    "token", metadata,
    Column("hash", _DIGEST, primary_key=True),
    Column("principal", ForeignKey("principal.name"), nullable=False),
    _time("expires"),
    _time("revoked", optional=True),
)  # fmt: skip

clock = Table(
    "clock", metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    _time("newest"),
)  # fmt: skip
"""The newest time that the desk has seen, in one row."""
