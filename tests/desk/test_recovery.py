"""Lost keys, clocks set back and restored backups: named, and nothing half done."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from datetime import UTC, timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from curenu.desk import looking, queue, releasing, replaying
from curenu.desk.faults import KeyExpired, KeyLost
from curenu.desk.home import Desk
from curenu.desk.looking import attestations, complaints
from curenu.desk.ready import log_complaints
from curenu.desk.refusals import (
    ClockSetBack,
    NotReady,
)
from curenu.desk.statement import verify_report
from curenu.desk.tables import batch_request, log, request
from tests.desk.desks import (
    approved,
    put_under,
    run_here,
    sent,
    status_of,
    versions,
)


def test_a_clock_set_back_is_refused(desk: Desk) -> None:
    sent(desk, 1)
    early = desk.clock() - timedelta(hours=1)
    desk.clock = lambda: early
    with pytest.raises(ClockSetBack, match="deadlines would be wrong"):
        sent(desk, 2)


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


def _restore(desk: Desk, file: Path) -> Desk:
    """The desk as it is after its operator put the backup in the place of the database."""
    desk.close()
    if desk.database.sqlite:
        file.replace(desk.folder / "desk.sqlite")
    else:
        url = desk.database.url.replace("+psycopg", "")
        line = ["pg_restore", "--clean", "--if-exists", "--exit-on-error", f"--dbname={url}", file]
        subprocess.run(line, check=True)
    return Desk.open(desk.folder)


@pytest.mark.parametrize("url", ["sqlite", "postgresql"], indirect=True)
def test_a_restored_backup_is_not_ready_until_it_was_replayed(
    tmp_path: Path, url: str | None, trained: Path
) -> None:
    if url is not None and shutil.which("pg_dump") is None:
        pytest.skip("no pg_dump: install Debian's postgresql-client")
    desk = Desk.create(tmp_path / "desk", url)
    put_under(desk, trained)
    early = approved(desk, 1)
    replaying.backup(desk, tmp_path / "backup")
    late = approved(desk, 2)
    one = queue.seal(desk, "people")
    run_here(desk, one)
    digest = releasing.release(desk, one, "bea")
    desk = _restore(desk, tmp_path / "backup")
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


@pytest.mark.parametrize(
    ("days", "told"), [(60, []), (80, ["key list"]), (355, ["key list", "(statement)", "(log)"])]
)
def test_keys_that_end_soon_are_named_in_time(desk: Desk, days: int, told: list[str]) -> None:
    later = desk.clock() + timedelta(days=days)
    desk.clock = lambda: later
    found = complaints(desk)
    assert len(found) == len(told)
    assert all(word in said for word, said in zip(told, found, strict=True))
    desk.keys.renew(later.replace(tzinfo=UTC))
    assert not any("key list" in said for said in complaints(desk))


def test_more_late_requests_than_are_named_are_counted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(3):
        sent(desk, number, received=desk.clock() - timedelta(days=60))
    assert len(complaints(desk)) == 3
    monkeypatch.setattr(looking, "MOST", 2)
    found = complaints(desk)
    assert found[0].startswith("3 requests are late or due soon; the first 2 follow")
    assert len(found) == 3


def test_an_expired_key_list_stops_a_release_and_says_what_to_do(desk: Desk) -> None:
    name = approved(desk, 1)
    made = queue.seal(desk, "people")
    run_here(desk, made)
    later = desk.clock() + timedelta(days=91)
    desk.clock = lambda: later
    with pytest.raises(KeyExpired, match="curenu desk key renew"):
        releasing.release(desk, made, "bea")
    assert status_of(desk, name) == "measured"
    desk.keys.renew(later.replace(tzinfo=UTC))
    releasing.release(desk, made, "bea")
    year = later + timedelta(days=300)
    desk.clock = lambda: year
    with pytest.raises(KeyExpired, match="held until"):
        releasing.report(desk, made)
    for use in ("statement", "log"):
        desk.keys.rotate(use, year.replace(tzinfo=UTC), timedelta())
    content = releasing.report(desk, made)  # its keys have expired: it is signed anew
    verify_report(content, desk.keys.root, year.replace(tzinfo=UTC))
    assert content != (desk.folder / "reports" / f"{made}.json").read_bytes()
