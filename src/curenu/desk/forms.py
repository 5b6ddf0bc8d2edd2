"""What signed records are made of: frozen, closed to unknown fields, and with one text each."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer

__all__ = [
    "Digest",
    "Form",
    "Moment",
    "canonical",
    "moment",
    "read_canonical",
    "read_form",
    "written",
]

_TIME = "%Y-%m-%dT%H:%M:%SZ"


class Form(BaseModel):
    """A record that is signed: frozen, and a field that it does not know is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


def written(time: datetime) -> str:
    """`time` in UTC to the second, such as 2026-11-27T08:00:00Z: texts order as times do."""
    return time.strftime(_TIME)


def moment(value: Any) -> datetime:
    """A time in UTC to the second, of an aware `datetime` or the text that `written` gives.

    Raises `ValueError` for anything else, a naive time among them.
    """
    if isinstance(value, str):
        time = datetime.strptime(value, _TIME).replace(tzinfo=UTC)
        if written(time) != value:
            raise ValueError(f"{value!r} is not written as {written(time)!r}.")
        return time
    if not isinstance(value, datetime) or value.tzinfo is None:
        raise ValueError(f"{value!r} is no time with a time zone.")
    return value.astimezone(UTC).replace(microsecond=0)


AnyForm = TypeVar("AnyForm", bound=Form)
Moment = Annotated[
    datetime,
    BeforeValidator(moment),
    PlainSerializer(written),
    Field(json_schema_extra={"format": "date-time"}),
]


Digest = Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
"""SHA-256 in 64 small hexadecimal digits."""


def canonical(content: Form | dict[str, Any]) -> bytes:
    """The one text of `content` as bytes: JSON, keys sorted, no blanks, ASCII.

    Raises `ValueError` for numbers that are not finite.
    """
    plain = json.loads(content.model_dump_json()) if isinstance(content, Form) else content
    text = json.dumps(plain, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def read_canonical(content: bytes) -> dict[str, Any]:
    """The object whose one text is `content`; raises `ValueError` for any other spelling."""
    try:
        found = json.loads(content)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(found, dict) or canonical(found) != content:
        raise ValueError("it is not the one spelling of a JSON object")
    return found


def read_form(kind: type[AnyForm], content: bytes) -> AnyForm:
    """The record whose one text is `content`; raises `ValueError` for any other."""
    found = kind.model_validate_json(content)
    if canonical(found) != content:
        raise ValueError("it is not the one spelling of this record")
    return found
