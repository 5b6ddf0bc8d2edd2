"""Old versions are disposed of: on record first, with a list of what is destroyed, then destroyed.

What a kill leaves is destroyed by the next call: the record says that it should not be there.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import Connection

from curenu.atomic import replace_file
from curenu.desk.forms import canonical, written
from curenu.desk.home import Desk, check_name
from curenu.desk.models import model_row, policy_of
from curenu.desk.ready import require_ready
from curenu.desk.refusals import IllegalMove
from curenu.desk.states import BUSY
from curenu.desk.tables import artifact, batch, model, model_version
from curenu.errors import BadRequest
from curenu.runs.folder_store import FolderStore
from curenu.runs.session import Session

__all__ = ["Disposed", "dispose", "undestroyed"]

_OLD = ("tainted", "superseded", "disposed")
_WEIGHTS = ("weights", "oracles")
_WORKING = ("open", "sealed", "queued", "running", "error")


@dataclass(frozen=True)
class Disposed:
    """Digests that went and those that stay, the folders of old attempts that went, the evidence.

    `evidence` is the file that lists what was destroyed; None where no version went.
    """

    gone: tuple[str, ...]
    kept: tuple[str, ...]
    attempts: tuple[str, ...]
    evidence: Path | None


def dispose(desk: Desk, name: str, by: str, *, everything: bool = False) -> Disposed:
    """Dispose of the versions of the model `name` that are not served, and of old attempts.

    Two kinds stay unless `everything` is asked for: the weights that G is measured from, without
    which later batches can only be retrained, and what lies in the folder that was registered.
    A backup of the database from before an erasure cannot be brought up again afterwards. Raises
    `IllegalMove` while a batch of the model is on its way, `NotReady` for a restored database.
    """
    check_name(by, "person")
    require_ready(desk)
    now = desk.now()
    with desk.database.transaction(now) as connection:
        row = model_row(connection, name)
        _check_idle(connection, name)
        _follow_purge(connection, row)
        old = _old(connection, name)
        fresh = [one for one in old if one.state != "disposed"]
        going = [one for one in fresh if everything or not _stays(desk, row, one)]
        files = sorted({path for one in going for path in _files(desk, row, one)})
        said = {"model": name, "time": written(now.replace(tzinfo=UTC)), "by": by,
                "versions": sorted(one.digest for one in going),
                "files": [_described(path) for path in files]}  # fmt: skip
        evidence = _keep(desk, said) if going else None
        for one in going:
            mine = artifact.update().where(artifact.c.version == one.digest)
            proof = None if evidence is None else evidence.stem
            connection.execute(mine.values(disposed=now, disposer=by, evidence=proof))
            chosen = model_version.update().where(model_version.c.digest == one.digest)
            connection.execute(chosen.values(state="disposed"))
    attempts = _destroy(desk, name)
    gone = tuple(one.digest for one in going)
    kept = tuple(one.digest for one in fresh if one.digest not in gone)
    return Disposed(gone, kept, attempts, evidence)


def undestroyed(desk: Desk) -> list[Path]:
    """Weights that are on record as disposed of, and are still where the desk had them."""
    with desk.database.reading() as connection:
        models = connection.execute(sa.select(model)).all()
        found = [
            path
            for row in models
            for one in _old(connection, row.name)
            if one.state == "disposed"
            for path in _files(desk, row, one)
        ]
    return sorted(set(found))


def _check_idle(connection: Connection, name: str) -> None:
    busy = (batch.c.model == name) & batch.c.status.in_(BUSY)
    found = connection.execute(sa.select(batch.c.id).where(busy)).scalar()
    if found is not None:
        raise IllegalMove(
            f"The batch {found} of {name} is on its way and may need the old weights.",
            "releasing or rejecting it first.",
        )


def _old(connection: Connection, name: str) -> list[Any]:
    mine = (model_version.c.model == name) & model_version.c.state.in_(_OLD)
    chosen = sa.select(model_version).where(mine)
    return list(connection.execute(chosen.order_by(model_version.c.made)).all())


def _stays(desk: Desk, row: Any, version: Any) -> bool:
    """Whether it is what G is measured from, or lies where the operator registered it."""
    return bool(_named(Path(row.run), version.digest)) or not _inside(desk, version.run)


def _files(desk: Desk, row: Any, version: Any) -> Iterator[Path]:
    """The weights of a version: its own folder's, and the copy that the served run keeps."""
    if version.run != row.run:
        for part in _WEIGHTS:
            yield from (Path(version.run) / part).glob("*")
    yield from _named(Path(row.run), version.digest)


def _named(run: Path, digest: str) -> list[Path]:
    return list((run / "weights").glob(f"{digest}*"))


def _inside(desk: Desk, run: str) -> bool:
    return Path(run).resolve().is_relative_to(desk.folder.resolve())


def _described(path: Path) -> dict[str, Any]:
    content = path.read_bytes()
    sha256 = hashlib.sha256(content).hexdigest()
    return {"path": str(path), "size": len(content), "sha256": sha256}


def _keep(desk: Desk, said: dict[str, Any]) -> Path:
    """Write the list down under its own SHA-256, before anything of it is destroyed."""
    content = canonical(said)
    folder = desk.folder / "disposals"
    folder.mkdir(exist_ok=True)
    path = folder / f"{hashlib.sha256(content).hexdigest()}.json"
    replace_file(path, content)
    return path


def _destroy(desk: Desk, name: str) -> tuple[str, ...]:
    """Remove what is on record as disposed of, and old attempts; the folders of those."""
    with desk.database.reading() as connection:
        row = model_row(connection, name)
        old = [one for one in _old(connection, name) if one.state == "disposed"]
    for one in old:
        if _named(Path(row.run), one.digest):
            _purge(desk, name)
        if one.run == row.run:
            continue
        if _inside(desk, one.run):
            shutil.rmtree(Path(one.run).parent, ignore_errors=True)
        else:
            for part in _WEIGHTS:
                for path in (Path(one.run) / part).glob("*"):
                    path.unlink()
    left = undestroyed(desk)
    if left:
        raise BadRequest(f"{left[0]} is still there.", "the right to remove it, then again.")
    return _old_attempts(desk, name)


def _purge(desk: Desk, name: str) -> None:
    """Have the served run forget the weights that it began from; its ledger grows by one record."""
    with desk.database.reading() as connection:
        row = model_row(connection, name)
    Session.open(Path(row.run), policy_of(row).task).purge("current")
    with desk.database.transaction() as connection:
        _follow_purge(connection, model_row(connection, name))


def _follow_purge(connection: Connection, row: Any) -> None:
    """Take the head of a served run that has only recorded disposals since the known head."""
    lines = list(FolderStore(Path(row.run)).lines())
    hashes = [line.hash for line in lines]
    if row.head not in hashes or row.head == hashes[-1]:
        return
    later = lines[hashes.index(row.head) + 1 :]
    if any('"kind":"disposal"' not in line.body.replace(" ", "") for line in later):
        return
    named = model.c.name == row.name
    connection.execute(model.update().where(named).values(head=hashes[-1]))
    current = (model_version.c.model == row.name) & (model_version.c.state == "current")
    connection.execute(model_version.update().where(current).values(head=hashes[-1]))


def _old_attempts(desk: Desk, name: str) -> tuple[str, ...]:
    """Remove the folders of attempts that no version is in and no batch works in."""
    with desk.database.reading() as connection:
        batches = connection.execute(sa.select(batch).where(batch.c.model == name)).all()
        live = sa.select(model_version.c.run).where(model_version.c.state != "disposed")
        kept = {Path(run).resolve().parent for run in connection.execute(live).scalars()}
    gone = []
    for row in batches:
        last = row.attempt if row.status in _WORKING else None
        for folder in sorted((desk.folder / "attempts" / row.id).glob("*")):
            if folder.resolve() not in kept and folder.name != str(last):
                shutil.rmtree(folder)
                gone.append(f"{row.id}/{folder.name}")
    return tuple(gone)
