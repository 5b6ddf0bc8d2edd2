"""What may become a request, and who may decide on it, on both databases."""

from __future__ import annotations

import threading
import uuid
from datetime import datetime
from pathlib import Path

import pytest
import sqlalchemy as sa

from curenu.desk import requests
from curenu.desk.home import Desk
from curenu.desk.refusals import (
    OtherContent,
    OwnRequest,
)
from curenu.desk.tables import request, vault
from curenu.errors import BadRequest
from tests.desk.desks import (
    execute,
    put_under,
    sent,
    status_of,
)


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
