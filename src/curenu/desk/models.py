"""Models of the desk: a run folder that was trained or adopted enters as the first version."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from curenu.desk.home import Desk, check_name
from curenu.desk.policy import Policy
from curenu.desk.tables import artifact, log, model, model_version, recipient
from curenu.errors import BadRequest
from curenu.runs.folder_store import FolderStore
from curenu.runs.session import Session

__all__ = ["model_row", "policy_of", "register", "settings_digest"]


def register(
    desk: Desk, name: str, run: Path, policy: Policy, recipients: Sequence[str] = ()
) -> str:
    """Put the run folder `run` under the desk as the model `name`; the digest of its weights.

    From then on the desk writes new folders beside it and never into it. Raises `BadRequest` for
    a name that is taken and the errors of `Session.open` for a folder that is no whole run.
    """
    check_name(name, "model")
    for one in recipients:
        check_name(one, "recipient")
    session = Session.open(FolderStore(run), policy.task)
    digest, head, now = session.current, session.head.hash, desk.now()
    with desk.database.transaction(now) as connection:
        taken = connection.execute(sa.select(model.c.name).where(model.c.name == name)).first()
        if taken is not None:
            raise BadRequest(f"There is a model {name!r} already.", "another name.")
        known = sa.select(model_version.c.digest).where(model_version.c.digest == digest)
        if connection.execute(known).first() is not None:
            raise BadRequest("These weights are under the desk already.", "another run.")
        place = str(run.resolve())
        row = {"name": name, "run": place, "head": head, "registered": now}
        connection.execute(model.insert().values(policy=policy.model_dump_json(), **row))
        version = {"digest": digest, "model": name, "kind": "trained", "state": "current"}
        version |= {"run": place, "head": head, "made": now, "settings": settings_digest(policy)}
        connection.execute(model_version.insert().values(**version))
        size = connection.execute(sa.select(sa.func.count()).select_from(log)).scalar_one()
        known_as = {"digest": digest, "version": digest, "marking": "clean", "as_of": size}
        connection.execute(artifact.insert().values(**known_as))
        for one in recipients:
            connection.execute(recipient.insert().values(version=digest, name=one))
    return digest


def model_row(connection: Connection, name: str) -> Any:
    """The model; raises `BadRequest` where there is none."""
    found = connection.execute(sa.select(model).where(model.c.name == name)).one_or_none()
    if found is None:
        raise BadRequest(f"There is no model {name!r}.", "a name that was registered.")
    return found


def policy_of(row: Any) -> Policy:
    """The policy of a model's row."""
    return Policy.model_validate_json(row.policy)


def settings_digest(policy: Policy) -> str:
    """SHA-256 of the method's name and arguments, as the statement names them."""
    said = json.dumps([policy.method, policy.settings], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()
