"""From a request to a released, attested model, on both databases; and what must be refused."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
import sqlalchemy as sa

from curenu.desk import queue, releasing, requests
from curenu.desk.home import Desk
from curenu.desk.looking import attestations, weights_of
from curenu.desk.ready import log_complaints
from curenu.desk.refusals import (
    BarNotPassed,
    IllegalMove,
    LeaseLost,
    OnHold,
)
from curenu.desk.statement import verify_report
from curenu.runs.folder_store import FolderStore
from tests.desk.desks import (
    CANARY,
    approved,
    execute,
    found_by,
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
