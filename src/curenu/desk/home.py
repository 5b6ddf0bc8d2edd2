"""A desk: its folder with settings, keys and reports, and its database."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from curenu.atomic import replace_file
from curenu.desk.database import Database, utc_now
from curenu.desk.keys import Keys
from curenu.desk.vault import Vault
from curenu.errors import BadRequest, CurenuError, RunBroken

__all__ = ["Desk", "check_name"]

_SETTINGS = "desk.json"
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,62}")


class _Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    database: str | None = None
    origin: str


@dataclass
class Desk:
    """`folder` holds everything but a database on a server; `origin` names the desk's log.

    `clock` gives the time in UTC, without a zone.
    """

    folder: Path
    database: Database
    origin: str
    clock: Callable[[], datetime] = utc_now

    @classmethod
    def create(
        cls, folder: Path, database: str | None = None, origin: str = "desk.local/log"
    ) -> Desk:
        """Make a desk in `folder`: its database, its vault key and its signing keys.

        `database` is an SQLAlchemy URL of PostgreSQL; a file in `folder` without it. Raises
        `BadRequest` for a folder that has a desk.
        """
        if (folder / _SETTINGS).exists():
            raise BadRequest(f"There is a desk in {folder}.", "another folder.")
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        desk = cls(folder, Database(database or _file_in(folder)), origin)
        desk.database.migrate()
        if not desk._vault_file.exists():
            Vault.create(desk._vault_file)
        if not (folder / "keys").exists():
            Keys.create(folder / "keys", datetime.now(UTC))
        settings = _Settings(database=database, origin=origin)
        replace_file(folder / _SETTINGS, settings.model_dump_json().encode(), private=True)
        return desk

    @classmethod
    def open(cls, folder: Path) -> Desk:
        """The desk in `folder`.

        Raises `BadRequest` where there is none, `RunBroken` for settings that cannot be read,
        `DatabaseNewer` and `DatabaseUnavailable`.
        """
        try:
            settings = _Settings.model_validate_json((folder / _SETTINGS).read_bytes())
        except OSError:
            raise BadRequest(f"There is no desk in {folder}.", "`curenu desk init`.") from None
        except ValidationError:
            raise RunBroken(
                f"{folder / _SETTINGS} is not as it was written.", "its backup."
            ) from None
        if settings.database is None and not (folder / "desk.sqlite").exists():
            raise RunBroken(f"The database of {folder} is not there.", "its backup.")
        desk = cls(folder, Database(settings.database or _file_in(folder)), settings.origin)
        try:
            desk.database.check()
        except CurenuError:
            desk.close()
            raise
        return desk

    @property
    def vault(self) -> Vault:
        """The vault; raises `KeyLost` where its key is gone."""
        return Vault.open(self._vault_file)

    @property
    def keys(self) -> Keys:
        """The signing keys."""
        return Keys.open(self.folder / "keys")

    def attempt_folder(self, batch: str, attempt: int) -> Path:
        """Where attempt number `attempt` of a batch works."""
        return self.folder / "attempts" / batch / str(attempt)

    def now(self) -> datetime:
        """The time, as the tables keep it."""
        return self.clock()

    def heads(self) -> list[str]:
        """The signed heads that were exported, oldest first."""
        files = sorted((self.folder / "heads").glob("*.txt"))
        return [file.read_text() for file in files]

    def export_head(self, size: int, note: str) -> None:
        """Keep a head outside the database, from where it is to be copied to another machine."""
        (self.folder / "heads").mkdir(exist_ok=True)
        replace_file(self.folder / "heads" / f"{size:010d}.txt", note.encode())

    def keep_report(self, batch: str, content: bytes) -> Path:
        """Write the report of a batch, and say where."""
        (self.folder / "reports").mkdir(exist_ok=True)
        path = self.folder / "reports" / f"{batch}.json"
        replace_file(path, content)
        return path

    def close(self) -> None:
        """Give the database back."""
        self.database.close()

    @property
    def _vault_file(self) -> Path:
        return self.folder / "vault.key"


def check_name(name: str, what: str) -> None:
    """Raise `BadRequest` for a name that is not short, small letters, digits, and . _ -."""
    if not _NAME.fullmatch(name):
        raise BadRequest(
            f"The {what} {name!r} is no short name.",
            "a small letter, then up to 62 small letters, digits, dots, underlines or hyphens.",
        )


def _file_in(folder: Path) -> str:
    return f"sqlite:///{folder.resolve() / 'desk.sqlite'}"
