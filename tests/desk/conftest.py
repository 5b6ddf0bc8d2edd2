"""Desks on SQLite and on PostgreSQL: a server in a temporary folder where there is a binary."""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from curenu.desk.home import Desk
from curenu.runs.session import Session
from tests.desk.desks import TASK, put_under

_PLACES = ("/usr/lib/postgresql/15/bin", "/usr/local/bin")


def _binaries() -> Path | None:
    """A folder that has all that a server takes; Debian's first."""
    found = shutil.which("initdb")
    places = [*_PLACES, *([str(Path(found).parent)] if found else [])]
    return next((Path(p) for p in places if (Path(p) / "postgres").exists()
                 and (Path(p) / "initdb").exists()), None)  # fmt: skip


@pytest.fixture(scope="session")
def server() -> Iterator[str]:
    """The folder of the socket of a PostgreSQL server of these tests alone."""
    place = _binaries()
    if place is None:
        pytest.skip("no postgres and initdb: install Debian's postgresql-15")
    folder = Path(tempfile.mkdtemp(prefix="curenu-pg-", dir="/tmp"))
    as_other: dict[str, Any] = {"cwd": folder}
    if os.geteuid() == 0:  # the server refuses to be run by root
        account = pwd.getpwnam("nobody")
        os.chown(folder, account.pw_uid, account.pw_gid)
        as_other |= {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
    quiet: dict[str, Any] = {"stdout": subprocess.DEVNULL, "stderr": subprocess.STDOUT}
    control = [str(place / "pg_ctl"), "-D", str(folder / "data"), "-w"]
    settings = f"-c listen_addresses='' -k {folder} -c fsync=off -c log_min_messages=info"
    initdb = [str(place / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", "curenu"]
    subprocess.run([*initdb, "-E", "UTF8", "--locale=C"], check=True, **quiet, **as_other)
    start = [*control, "-l", str(folder / "log"), "-o", settings, "start"]
    subprocess.run(start, check=True, **quiet, **as_other)
    try:
        yield str(folder)
    finally:
        subprocess.run([*control, "-m", "immediate", "stop"], check=True, **quiet, **as_other)
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.slow)])
def url(request: pytest.FixtureRequest) -> Iterator[str | None]:
    """The URL of a new database; None stands for a file in the desk's folder."""
    if request.param == "sqlite":
        yield None
        return
    socket = request.getfixturevalue("server")
    name = f"desk_{uuid.uuid4().hex}"
    with psycopg.connect(f"host={socket} user=curenu dbname=postgres", autocommit=True) as one:
        one.execute(f"CREATE DATABASE {name}".encode())
    yield f"postgresql+psycopg://curenu@/{name}?host={socket}"


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of the small task, which tests copy or only read."""
    folder = tmp_path_factory.mktemp("trained")
    (folder / "small.py").write_text(TASK)
    Session.create(folder / "run", f"{folder / 'small.py'}:small")
    return folder / "run"


@pytest.fixture
def desk(tmp_path: Path, url: str | None, trained: Path) -> Iterator[Desk]:
    """A desk with one small model, `people`."""
    made = Desk.create(tmp_path / "desk", url)
    put_under(made, trained)
    yield made
    made.close()
