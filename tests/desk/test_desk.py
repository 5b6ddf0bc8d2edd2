"""From a request to a released, attested model, on both databases; and what must be refused."""

from __future__ import annotations

import threading
import uuid
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from curenu.desk import queue, releasing, replaying, requests
from curenu.desk.faults import KeyLost
from curenu.desk.home import Desk
from curenu.desk.looking import attestations, complaints, weights_of
from curenu.desk.ready import log_complaints
from curenu.desk.refusals import (
    BarNotPassed,
    ClockSetBack,
    DatabaseNewer,
    IllegalMove,
    LeaseLost,
    NotReady,
    OnHold,
    OtherContent,
    OwnRequest,
)
from curenu.desk.statement import verify_report
from curenu.desk.tables import batch_request, log, request, vault
from curenu.errors import BadRequest
from curenu.runs.folder_store import FolderStore
from tests.desk.desks import (
    CANARY,
    approved,
    execute,
    found_by,
    put_under,
    run_here,
    sent,
    status_of,
    versions,
)


def test_a_request_becomes_a_released_version_with_a_statement_that_verifies(desk: Desk) -> None:
    first = next(iter(versions(desk)))
    name = approved(desk, 3, 5)
    made = queue.seal(desk, "people", "bea")
    assert run_here(desk, made) == "awaiting_release"
    assert status_of(desk, name) == "measured"
    digest = releasing.release(desk, made, "bea")
    assert releasing.release(desk, made, "bea") == digest  # the same again is success
    assert status_of(desk, name) == "complete"
    assert versions(desk) == {first: "tainted", digest: "current"}
    statement = verify_report(releasing.report(desk, made), desk.keys.root, datetime.now(UTC))
    assert statement["subject"][0]["digest"]["sha256"] == digest
    assert statement["predicate"]["asked"]["examples"] == 2
    assert statement["predicate"]["done"]["before"] == first
    assert statement["predicate"]["old_versions"][0]["recipients"] == 1
    erased = FolderStore(weights_of(desk, digest).parents[1]).lines()
    assert all("canary" not in (line.subjects or "") for line in erased)
    assert log_complaints(desk) == []
    told, head = attestations(desk)
    assert {one.sha256: one.marking for one in told} == {first: "contains_erased", digest: "clean"}
    assert head.release == 1


def test_what_is_not_there_or_gone_already_needs_no_version(desk: Desk) -> None:
    approved(desk, 3)
    one = queue.seal(desk, "people")
    run_here(desk, one)
    releasing.release(desk, one, "bea")
    again, unknown = approved(desk, 3), approved(desk, 99)
    two = queue.seal(desk, "people")
    assert run_here(desk, two) == "rejected"
    assert status_of(desk, again) == "complete"
    assert status_of(desk, unknown) == "denied"
    with pytest.raises(IllegalMove, match="nothing to retrain"):
        queue.retrain(desk, two, "bea")


def test_fifty_parallel_posts_of_one_id_are_one_request(desk: Desk) -> None:
    name, failed = str(uuid.uuid4()), []

    def post(ids: tuple[int, ...]) -> None:
        try:
            sent(desk, *ids, name=name)
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=post, args=((1, 2),)) for _ in range(50)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert failed == []
    with desk.database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(request)).scalar() == 1
    with pytest.raises(OtherContent, match="another content"):
        sent(desk, 1, 3, name=name)
    with pytest.raises(OtherContent):
        sent(desk, 1, 2, name=name, identity="somebody@example.org")


def test_a_worker_frozen_past_its_lease_cannot_commit(desk: Desk) -> None:
    approved(desk, 3)
    made = queue.seal(desk, "people")
    frozen = queue.take(desk, made, "w-frozen")
    result = found_by(desk, frozen)
    with pytest.raises(LeaseLost, match="w-frozen has this batch"):
        queue.take(desk, made, "w-other")
    later = desk.clock() + 2 * queue.LEASE
    desk.clock = lambda: later
    other = queue.take(desk, made, "w-other")
    assert other.fence > frozen.fence
    with pytest.raises(LeaseLost, match="not kept"):
        queue.commit(desk, frozen, result)
    with pytest.raises(LeaseLost):
        queue.renew(desk, frozen)
    queue.commit(desk, other, found_by(desk, other))
    with pytest.raises(LeaseLost):
        queue.commit(desk, frozen, result)
    assert sorted(versions(desk).values()) == ["candidate", "current"]


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)  # both, also when fast
def test_who_submits_cannot_approve_and_sql_cannot_either(desk: Desk) -> None:
    name = sent(desk, 1)
    with pytest.raises(OwnRequest, match="another person"):
        requests.approve(desk, name, "anna")
    for statement, said in (
        (f"UPDATE request SET status = 'approved' WHERE id = '{name}'", "cannot approve"),
        (f"UPDATE request SET status = 'complete' WHERE id = '{name}'", "desk:"),
        (f"UPDATE request SET status = 'batched' WHERE id = '{name}'", "cannot move"),
        (f"UPDATE request SET submitter = 'bea' WHERE id = '{name}'", "does not change"),
        (f"DELETE FROM request WHERE id = '{name}'", "stay"),
        ("DELETE FROM decision", "stay"),
        ("INSERT INTO decision (request, kind, \"by\", time) VALUES "
         f"('{name}', 'approve', 'anna', '2026-01-01')", "cannot approve"),
    ):  # fmt: skip
        with pytest.raises(sa.exc.DBAPIError, match=said):
            execute(desk, statement)
    assert status_of(desk, name) == "pending"


@pytest.mark.parametrize("way", ["bar", "hold", "no_gain"])
def test_what_did_not_pass_cannot_become_complete(desk: Desk, way: str) -> None:
    name = approved(desk, 3)
    made = queue.seal(desk, "people")
    order = queue.take(desk, made, "w-here")
    result = found_by(desk, order, passed=way != "bar")
    if way == "no_gain":
        result |= {"status": "NO_GAIN", "granted": False, "figures": []}
    if way == "hold":
        requests.place_hold(desk, name, "carl")
        with pytest.raises(OnHold):
            queue.commit(desk, order, result)
        assert status_of(desk, name) == "on_hold"
    else:
        assert queue.commit(desk, order, result) == "rejected"
        with pytest.raises(BarNotPassed, match="retrain"):
            releasing.release(desk, made, "bea")
    for statement in (
        f"UPDATE batch SET status = 'released' WHERE id = '{made}'",
        f"UPDATE batch SET status = 'awaiting_release' WHERE id = '{made}'",
        f"UPDATE request SET status = 'complete' WHERE id = '{name}'",
    ):
        with pytest.raises(sa.exc.DBAPIError, match="desk:"):
            execute(desk, statement)
    assert list(versions(desk).values()) == ["current"]
    if way != "hold":
        queue.retrain(desk, made, "bea")
        assert run_here(desk, made) == "awaiting_release"
        releasing.release(desk, made, "bea")
        assert status_of(desk, name) == "complete"
    else:
        requests.lift(desk, name, "carl")
        assert status_of(desk, name) == "running"


def test_a_hold_on_a_measured_batch_stops_its_release(desk: Desk) -> None:
    name = approved(desk, 3)
    made = queue.seal(desk, "people")
    run_here(desk, made)
    requests.place_hold(desk, name, "carl")
    with pytest.raises(OnHold):
        releasing.release(desk, made, "bea")
    with pytest.raises(sa.exc.DBAPIError, match="hold"):
        execute(desk, f"UPDATE batch SET status = 'released' WHERE id = '{made}'")
    requests.lift(desk, name, "carl")
    releasing.release(desk, made, "bea")
    assert status_of(desk, name) == "complete"


def test_the_next_batch_of_a_model_waits_for_the_release(desk: Desk) -> None:
    approved(desk, 1)
    one = queue.seal(desk, "people")
    approved(desk, 2)
    two = queue.seal(desk, "people")
    run_here(desk, one)
    with pytest.raises(IllegalMove, match="busy"):
        queue.take(desk, two, "w-here")
    releasing.release(desk, one, "bea")
    run_here(desk, two)
    releasing.release(desk, two, "bea")
    assert sorted(versions(desk).values()) == ["current", "tainted", "tainted"]


def test_a_failed_release_leaves_nothing_half_done(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = approved(desk, 3)
    made = queue.seal(desk, "people")
    run_here(desk, made)
    before = versions(desk)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(releasing, "keep_for_replay", full)
    with pytest.raises(OSError, match="No space"):
        releasing.release(desk, made, "bea")
    assert (status_of(desk, name), status_of(desk, made)) == ("measured", "awaiting_release")
    assert versions(desk) == before
    monkeypatch.undo()
    releasing.release(desk, made, "bea")
    assert status_of(desk, name) == "complete"


def test_a_clock_set_back_is_refused(desk: Desk) -> None:
    sent(desk, 1)
    early = desk.clock() - timedelta(hours=1)
    desk.clock = lambda: early
    with pytest.raises(ClockSetBack, match="deadlines would be wrong"):
        sent(desk, 2)


def test_a_database_newer_than_the_code_is_refused(desk: Desk) -> None:
    execute(desk, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(DatabaseNewer, match="9999"):
        Desk.open(desk.folder)
    with pytest.raises(DatabaseNewer):
        desk.database.migrate()


def test_a_lost_vault_key_is_named_and_nothing_is_taken_in(desk: Desk) -> None:
    name = approved(desk, 3)
    made = queue.seal(desk, "people")
    (desk.folder / "vault.key").rename(desk.folder / "elsewhere")
    with pytest.raises(KeyLost, match=r"vault\.key"):
        sent(desk, 4)
    with pytest.raises(KeyLost):
        queue.take(desk, made, "w-here")
    assert status_of(desk, name) == "batched"
    assert any("vault.key" in said for said in complaints(desk))
    with desk.database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(request)).scalar() == 1


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"name": "letter-17"}, "no UUID"),
        ({"name": str(uuid.uuid1())}, "version 4"),
        ({"identity": " "}, "identity is empty"),
        ({"identity": "a" * 300}, "longer than 256"),
        ({"identity": "a\x07"}, "printable"),
        ({"models": ["other"]}, "no model 'other'"),
        ({"models": []}, "No model is named"),
        ({"regime": "mars"}, "no law"),
        ({"by": "Anna B"}, "no short name"),
        ({"received": datetime(2999, 1, 1)}, "to come"),
    ],
)  # fmt: skip
def test_what_cannot_be_a_request_is_named_and_not_kept(
    tmp_path: Path, trained: Path, changes: dict, said: str
) -> None:
    desk = Desk.create(tmp_path / "desk")
    put_under(desk, trained)
    with pytest.raises(BadRequest, match=said):
        sent(desk, 1, **changes)
    with pytest.raises(BadRequest, match="twice"):
        sent(desk, 1, 1)
    with pytest.raises(BadRequest, match="0 ids"):
        sent(desk)
    with desk.database.reading() as connection:
        for table in (request, vault):
            assert connection.execute(sa.select(sa.func.count()).select_from(table)).scalar() == 0
    desk.close()


def test_a_restored_backup_is_not_ready_until_it_was_replayed(
    tmp_path: Path, trained: Path
) -> None:
    desk = Desk.create(tmp_path / "desk")
    put_under(desk, trained)
    early = approved(desk, 1)
    replaying.backup(desk, tmp_path / "backup.sqlite")
    late = approved(desk, 2)
    one = queue.seal(desk, "people")
    run_here(desk, one)
    digest = releasing.release(desk, one, "bea")
    desk.close()
    (tmp_path / "backup.sqlite").replace(desk.folder / "desk.sqlite")

    desk = Desk.open(desk.folder)
    assert digest not in versions(desk)
    assert "cut off" in complaints(desk)[0]
    with pytest.raises(NotReady, match="replay"):
        queue.take(desk, str(uuid.uuid4()), "w-here")
    (made,) = replaying.replay(desk)
    assert replaying.replay(desk) == []
    told, _ = attestations(desk)
    assert {one.marking for one in told} == {"contains_erased"}
    assert log_complaints(desk) == []
    assert run_here(desk, made) == "awaiting_release"
    assert releasing.release(desk, made, "bea") == digest  # the same run, erased again
    assert (status_of(desk, early), status_of(desk, late)) == ("complete", "complete")
    with desk.database.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(log)).scalar() == 2
        outcomes = connection.execute(sa.select(batch_request.c.outcome)).scalars().all()
    assert outcomes == ["erased", "erased"]
    desk.close()


def test_canaries_are_nowhere_but_in_the_vault(desk: Desk) -> None:
    name = approved(desk, 3)
    made = queue.seal(desk, "people")
    run_here(desk, made)
    releasing.release(desk, made, "bea")
    releasing.report(desk, made)
    with desk.database.reading() as connection:
        assert requests.example_ids(desk, connection, name) == ["canary-3"]
        for table in sa.inspect(connection).get_table_names():
            rows = connection.exec_driver_sql(f'SELECT * FROM "{table}"').all()
            assert "canary" not in repr(rows), table
    requests.shred(desk, name, "bea")
    desk.close()
    for path in desk.folder.rglob("*"):
        assert not path.is_file() or b"canary" not in path.read_bytes(), path
        assert CANARY not in str(path)
    assert not list((desk.folder / "replay").glob(f"*{name}*"))
    assert sent(desk, 3, name=name) == name  # the same again, now shredded, is success
