"""Triggers that make the database itself refuse what the state machines do not allow.

They are written from `curenu.desk.states`, so that a statement of SQL from outside meets the same
rules as the command line. The steps of the schema hold them frozen; what is here says what they
must come to, and `unguarded` compares a database with it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from sqlalchemy import Connection

from curenu.desk.states import BATCH, REQUEST, TARGET

__all__ = ["statements", "unguarded"]

_HELD = (
    "EXISTS (SELECT 1 FROM hold h JOIN batch_request b ON b.request = h.request "
    "WHERE b.batch = NEW.id AND h.lifted IS NULL)"
)
_PASSED = (
    "EXISTS (SELECT 1 FROM model_version v WHERE v.batch = NEW.id) AND (NEW.way = 'retrain' OR "
    "4 = (SELECT COUNT(*) FROM evaluation e WHERE e.batch = NEW.id AND e.attempt = NEW.attempt "
    "AND e.passed = 1))"
)
_OTHER = (
    "EXISTS (SELECT 1 FROM decision d WHERE d.request = NEW.id AND d.kind = 'approve' "
    'AND d."by" <> NEW.submitter)'
)
_RELEASED = (
    "NOT EXISTS (SELECT 1 FROM batch_request b JOIN batch a ON a.id = b.batch "
    "WHERE b.request = NEW.id AND b.outcome IS NULL AND a.status <> 'released') "
    "AND EXISTS (SELECT 1 FROM batch_request b WHERE b.request = NEW.id)"
)

_RULES = (
    ("request_approved", "request", "UPDATE",
     f"NEW.status = 'approved' AND OLD.status IN ('pending', 'on_hold') AND NOT {_OTHER}",
     "who submitted a request cannot approve it"),
    (
        "request_held",
        "request",
        "UPDATE",
        "OLD.status = 'on_hold' AND NEW.status NOT IN ('on_hold', 'denied') AND EXISTS "
        "(SELECT 1 FROM hold h WHERE h.request = NEW.id AND h.lifted IS NULL)",
        "a legal hold stands in the way",
    ),
    ("request_keeps", "request", "UPDATE",
     "OLD.id <> NEW.id OR OLD.submitter <> NEW.submitter OR OLD.commitment <> NEW.commitment "
     "OR OLD.received <> NEW.received",
     "what was submitted does not change"),
    ("request_complete", "request", "UPDATE",
     "NEW.status IN ('released', 'complete') AND OLD.status <> NEW.status "
     f"AND NOT ({_RELEASED})",
     "its batch is not released"),
    ("batch_passed", "batch", "UPDATE",
     f"NEW.status = 'awaiting_release' AND OLD.status <> NEW.status AND NOT ({_PASSED})",
     "the bar was not passed"),
    ("batch_free", "batch", "UPDATE",
     f"NEW.status IN ('running', 'released') AND OLD.status <> NEW.status AND {_HELD}",
     "a legal hold stands in the way"),
    ("decision_eyes", "decision", "INSERT",
     "NEW.kind = 'approve' AND EXISTS (SELECT 1 FROM request r WHERE r.id = NEW.request AND "
     'r.submitter = NEW."by")', "who submitted a request cannot approve it"),
    ("artifact_stays_tainted", "artifact", "UPDATE",
     "OLD.marking = 'contains_erased' AND NEW.marking <> OLD.marking",
     "what saw erased examples is not clean again"),
    ("artifact_stays_disposed", "artifact", "UPDATE",
     "OLD.disposed IS NOT NULL AND (NEW.disposed IS NULL OR NEW.evidence <> OLD.evidence)",
     "a disposal stays on record"),
)  # fmt: skip
"""Each a trigger: its name, table, event, what is forbidden, and what is said then."""


def statements(dialect: str) -> list[str]:
    """What to execute once on a new database of "sqlite" or "postgresql"."""
    made: list[str] = []
    machines = (
        ("request", "status", REQUEST),
        ("batch", "status", BATCH),
        ("request_target", "state", TARGET),
    )
    for table, column, moves in machines:
        first = next(iter(moves))
        made += _guard(
            dialect, f"{table}_begins", table, "INSERT", f"NEW.{column} <> '{first}'",
            f"a {table} begins as {first}",
        )  # fmt: skip
        made += _guard(
            dialect, f"{table}_moves", table, "UPDATE",
            f"OLD.{column} <> NEW.{column} AND NOT ({_legal(column, moves)})",
            f"the {table} cannot move so",
        )  # fmt: skip
    for rule in _RULES:
        made += _guard(dialect, *rule)
    for table in ("log", "checkpoint", "attestation", "decision", "evaluation", "request", "batch"):
        events = ("DELETE",) if table in ("request", "batch") else ("UPDATE", "DELETE")
        for event in events:
            name = f"{table}_stays_{event.lower()}"
            made += _guard(dialect, name, table, event, "1 = 1", f"rows of {table} stay")
    return made


def unguarded(connection: Connection) -> list[str]:
    """Names of the triggers that the database lacks, or has in other words or switched off."""
    dialect = connection.dialect.name
    wanted = statements(dialect)
    if dialect == "sqlite":
        made = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE type = 'trigger'")
        there = set(made.scalars())
        return [_name(one) for one in wanted if one not in there]
    bodies = connection.exec_driver_sql("SELECT proname, prosrc FROM pg_proc")
    known = {row.proname: row.prosrc for row in bodies}
    on = connection.exec_driver_sql(
        "SELECT t.tgname, p.proname FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid "
        "WHERE t.tgenabled = 'O'"
    )
    live = {(row.tgname, row.proname) for row in on}
    found = []
    for one in wanted:
        name = _name(one)
        if one.startswith("CREATE FUNCTION"):
            if known.get(f"{name}_guard") != one.split("$$")[1]:
                found.append(name)
        elif (name, f"{name}_guard") not in live:
            found.append(name)
    return sorted(set(found))


def _name(statement: str) -> str:
    """The name of the guard that a statement makes."""
    return re.split(r"[ (]", statement, maxsplit=3)[2].removesuffix("_guard")


def _legal(column: str, moves: Mapping[str, tuple[str, ...]]) -> str:
    pairs = [
        f"(OLD.{column} = '{before}' AND NEW.{column} = '{after}')"
        for before, following in moves.items()
        for after in following
    ]
    return " OR ".join(pairs)


def _guard(dialect: str, name: str, table: str, event: str, forbidden: str, said: str) -> list[str]:
    if dialect == "sqlite":
        return [
            f"CREATE TRIGGER {name} BEFORE {event} ON {table} WHEN {forbidden} "
            f"BEGIN SELECT RAISE(ABORT, 'desk: {said}'); END"
        ]
    back = "OLD" if event == "DELETE" else "NEW"
    return [
        f"CREATE FUNCTION {name}_guard() RETURNS trigger AS $$ BEGIN IF {forbidden} THEN "
        f"RAISE EXCEPTION 'desk: {said}' USING ERRCODE = '23514'; END IF; RETURN {back}; END $$ "
        "LANGUAGE plpgsql",
        f"CREATE TRIGGER {name} BEFORE {event} ON {table} FOR EACH ROW "
        f"EXECUTE FUNCTION {name}_guard()",
    ]
