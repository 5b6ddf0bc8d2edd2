"""Old versions go with evidence, on record before they go; what must stay stays."""

from __future__ import annotations

import hashlib
import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from curenu.desk import disposing, models, queue, releasing
from curenu.desk.allow_list import Reason, check_file
from curenu.desk.disposing import dispose
from curenu.desk.home import Desk
from curenu.desk.looking import attestations, complaints, weights_of
from curenu.desk.refusals import IllegalMove
from curenu.desk.statement import verify_report
from curenu.desk.tables import artifact
from tests.desk.desks import approved, execute, policy_for, run_here, versions


@pytest.fixture
def desk(tmp_path: Path, url: str | None, trained: Path) -> Any:
    """A desk whose registered folder is a copy, since it may be emptied."""
    shutil.copytree(trained.parent, tmp_path / "own")
    made = Desk.create(tmp_path / "desk", url)
    run = tmp_path / "own" / trained.name
    told = {"method": "fine-tune", "settings": {"epochs": "1"}}
    models.register(made, "people", run, policy_for(run).model_copy(update=told), ["serving"])
    yield made
    made.close()


def released(desk: Desk, number: int) -> str:
    approved(desk, number)
    made = queue.seal(desk, "people")
    run_here(desk, made)
    return releasing.release(desk, made, "bea")


def holding(folder: Path, digest: str) -> list[Path]:
    """Files whose content is that of the weights `digest`."""
    files = [path for path in folder.rglob("*.safetensors") if path.is_file()]
    return [path for path in files if hashlib.sha256(path.read_bytes()).hexdigest() == digest]


def test_old_versions_go_and_the_next_batch_still_runs(desk: Desk, tmp_path: Path) -> None:
    first = next(iter(versions(desk)))
    second, third = released(desk, 1), released(desk, 2)
    old = (tmp_path / "old").with_suffix(".safetensors")
    shutil.copy(weights_of(desk, second), old)
    done = dispose(desk, "people", "bea")
    assert (done.gone, done.kept) == ((second,), (first,))
    assert holding(tmp_path / "desk", second) == []
    assert versions(desk) == {first: "tainted", second: "disposed", third: "current"}
    assert done.evidence is not None
    content = done.evidence.read_bytes()
    assert hashlib.sha256(content).hexdigest() == done.evidence.stem
    assert second in {file["sha256"] for file in json.loads(content)["files"]}
    with desk.database.reading() as connection:
        row = connection.execute(sa.select(artifact).where(artifact.c.digest == second)).one()
    assert (row.disposer, row.evidence) == ("bea", done.evidence.stem)
    assert check_file(old, *attestations(desk)).reason is Reason.CONTAINS_ERASED
    assert complaints(desk) == []
    fourth = released(desk, 3)
    said = _said(desk, fourth)["old_versions"]
    assert {one["sha256"]: one["state"] for one in said} == {
        first: "tainted", second: "disposed", third: "tainted",
    }  # fmt: skip
    assert dispose(desk, "people", "bea").gone == (third,)
    assert dispose(desk, "people", "bea").gone == ()


def _said(desk: Desk, digest: str) -> dict[str, Any]:
    """The predicate about the version `digest`."""
    for path in (desk.folder / "reports").iterdir():
        found = verify_report(path.read_bytes(), desk.keys.root, datetime.now(UTC))
        if found["subject"][0]["digest"]["sha256"] == digest:
            return found["predicate"]
    raise KeyError(digest)


def test_everything_takes_the_first_weights_too_and_the_run_stays_whole(
    desk: Desk, tmp_path: Path
) -> None:
    first = next(iter(versions(desk)))
    second = released(desk, 1)
    assert len(holding(tmp_path, first)) == 2  # registered, and where G is measured from
    done = dispose(desk, "people", "bea", everything=True)
    assert done.gone == (first,)
    assert holding(tmp_path, first) == []
    assert complaints(desk) == []
    assert check_file(weights_of(desk, second), *attestations(desk)).allowed
    approved(desk, 2)
    made = queue.seal(desk, "people")
    run_here(desk, made, passed=False)  # without the first weights G does not exist
    queue.retrain(desk, made, "bea")
    run_here(desk, made)
    releasing.release(desk, made, "bea")


@pytest.mark.parametrize("stop", ["before", "after the purge"])
def test_a_kill_after_the_record_is_named_and_finished(
    desk: Desk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: str
) -> None:
    first = next(iter(versions(desk)))
    released(desk, 1)

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(disposing, "_destroy" if stop == "before" else "_old_attempts", killed)
    if stop != "before":
        monkeypatch.setattr(disposing, "_follow_purge", _once_then(killed))
    with pytest.raises(KeyboardInterrupt):
        dispose(desk, "people", "bea", everything=True)
    monkeypatch.undo()
    assert versions(desk)[first] == "disposed"  # on record, though not all is destroyed
    assert complaints(desk) != []
    dispose(desk, "people", "bea")
    assert holding(tmp_path, first) == []
    assert complaints(desk) == []


def _once_then(killed: Any) -> Any:
    calls: list[int] = []

    def once(*given: Any) -> None:
        if calls:
            killed()
        calls.append(1)

    return once


def test_a_batch_on_its_way_keeps_all_and_nothing_is_recorded(desk: Desk) -> None:
    released(desk, 1)
    approved(desk, 2)
    run_here(desk, queue.seal(desk, "people"))
    before = versions(desk)
    with pytest.raises(IllegalMove, match="on its way"):
        dispose(desk, "people", "bea", everything=True)
    assert versions(desk) == before
    assert not (desk.folder / "disposals").exists()


def test_old_attempts_go_and_the_one_that_was_released_stays(desk: Desk) -> None:
    approved(desk, 1)
    made = queue.seal(desk, "people")
    queue.fail(desk, queue.take(desk, made, "w-here"), "solve_failed")
    lost = desk.attempt_folder(made, 1)
    lost.mkdir(parents=True)
    run_here(desk, made, passed=False)
    queue.retrain(desk, made, "bea")
    run_here(desk, made)
    digest = releasing.release(desk, made, "bea")
    done = dispose(desk, "people", "bea")
    assert done.attempts == (f"{made}/1", f"{made}/2")
    assert not lost.exists()
    assert weights_of(desk, digest).exists()


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_sql_cannot_take_a_disposal_or_a_taint_back(desk: Desk) -> None:
    released(desk, 1)
    dispose(desk, "people", "bea", everything=True)
    for statement in (
        "UPDATE artifact SET disposed = NULL",
        "UPDATE artifact SET marking = 'clean'",
        "UPDATE artifact SET disposed = NULL, evidence = NULL",
    ):
        with pytest.raises(sa.exc.DBAPIError, match="desk:"):
            execute(desk, statement)
