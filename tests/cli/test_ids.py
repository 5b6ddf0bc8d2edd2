"""The one reader of ids: what was asked is what is erased, in every form, or it is refused."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curenu.checks import positions_of
from curenu.cli.ids import Asked, Form, asked_by_options, asked_in_file, places_of
from curenu.errors import BadRequest
from curenu.names import Names, names_of

# Characters on which readers differ: ends of lines of every kind, blanks, commas, quotes, marks.
NASTY = st.sampled_from("\r\n\t ,;\"'\\[]{}$#-_0189aé\x00\x0b\x1c\x85\u2028\ufeff💥")
ID = st.text(NASTY | st.characters(exclude_categories=["Cs"]), max_size=6)
IDS = st.lists(ID, unique=True, min_size=1, max_size=8)


def text(ids: Sequence[str]) -> str:
    return "".join(f"{name}\n" for name in ids)


def table(ids: Sequence[str], heading: Sequence[str] = ()) -> str:
    stream = io.StringIO(newline="")
    writer = csv.writer(stream)
    rows = [["who", "note"], *([name, "a,b"] for name in ids)] if heading else [[n] for n in ids]
    writer.writerows(rows)
    return stream.getvalue()


FORMS: dict[str, tuple[str, str | None, Callable[[Sequence[str]], str]]] = {
    "text": ("ids.txt", None, text),
    "windows": ("ids.txt", None, lambda ids: "\ufeff" + text(ids).replace("\n", "\r\n")),
    "csv of one column": ("ids.csv", None, table),
    "csv": ("ids.csv", "who", lambda ids: table(ids, "who")),
    "json": ("ids.json", None, json.dumps),
    "json of objects": ("ids.json", "who", lambda ids: json.dumps([{"who": n} for n in ids])),
    "json lines": ("ids.jsonl", None, lambda ids: text([json.dumps(n) for n in ids])),
    "json lines of objects": (
        "ids.ndjson",
        "who",
        lambda ids: text([json.dumps({"x": 1, "who": n}, ensure_ascii=False) for n in ids]),
    ),
}


def read(folder: Path, name: str, content: str | bytes, column: str | None = None) -> Asked:
    path = folder / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return asked_in_file(path, column, None)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50
)
@given(everyone=IDS, data=st.data())
@pytest.mark.parametrize("form", FORMS)
def test_the_set_in_a_file_is_the_set_that_is_erased_or_it_is_refused(
    tmp_path: Path, form: str, everyone: list[str], data: st.DataObject
) -> None:
    asked = data.draw(st.lists(st.sampled_from(everyone), unique=True, min_size=1))
    name, column, write = FORMS[form]
    names = names_of(everyone, len(everyone))
    try:
        found = places_of(read(tmp_path, name, write(asked), column), names)
    except BadRequest:
        # Only plain text may refuse, and only because of an id that it has no way to write.
        hard = [n for n in everyone if not n or n[0] == "\ufeff" or {*"\r\n"} & {*n}]
        assert hard
        assert form in ("text", "windows") or (
            form == "csv of one column" and "\ufeff" in "".join(hard)
        )
    else:
        assert {everyone[place] for place in found} == set(asked)


@given(everyone=IDS, data=st.data())
def test_the_set_in_options_and_in_a_call_is_the_set_that_is_erased(
    everyone: list[str], data: st.DataObject
) -> None:
    asked = data.draw(st.lists(st.sampled_from(everyone), unique=True, min_size=1))
    names = names_of(everyone, len(everyone))
    found = places_of(asked_by_options("--ids", asked), names)
    assert {everyone[place] for place in found} == set(asked)
    if len(asked) < len(everyone):
        assert positions_of(asked, len(everyone), ids=everyone) == sorted(found)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(everyone=IDS, form=st.sampled_from([Form.CSV, Form.JSON, Form.JSONL]))
def test_the_set_on_standard_input_is_the_set_that_is_erased(
    monkeypatch: pytest.MonkeyPatch, everyone: list[str], form: Form
) -> None:
    write = {Form.CSV: "csv", Form.JSON: "json", Form.JSONL: "json lines"}[form]
    _, column, writer = FORMS[write]
    stream = SimpleNamespace(buffer=io.BytesIO(writer(everyone).encode()))
    monkeypatch.setattr(sys, "stdin", stream)
    asked = asked_in_file(Path("-"), column, form)
    assert places_of(asked, names_of(everyone, len(everyone))) == list(range(len(everyone)))


def test_an_id_of_two_words_is_one_person(tmp_path: Path) -> None:
    names = names_of(["Ann", "Lee", "Ann Lee", "Lee, Ann"], 4)
    assert places_of(read(tmp_path, "ids.txt", "Ann Lee\nLee, Ann\n"), names) == [2, 3]


def test_a_position_on_standard_input_without_a_last_line_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(b"4\n\n8")))
    asked = asked_in_file(Path("-"), None, None)
    assert places_of(asked, Names(None, 10)) == [4, 8]


def test_a_million_lines_are_read(tmp_path: Path) -> None:
    lines = "\n".join(map(str, range(1_000_000)))
    asked = read(tmp_path, "ids.txt", lines)
    assert places_of(asked, Names(None, 1_000_000)) == list(range(1_000_000))


@pytest.mark.parametrize(
    ("name", "content", "column", "problem", "remedy"),
    [
        ("a.txt", b"", None, "holds no id", "one id or more"),
        ("a.json", b"", None, "holds no id", "one id or more"),
        ("a.csv", b"", None, "holds no id", "one id or more"),
        ("a.txt", "4\n".encode("utf-16") + b"\n", None, "line 2: .* begins as UTF-16", "UTF-8"),
        ("a.txt", "4\n".encode("utf-16-le"), None, "unknown", "looks like UTF-16"),
        ("a.txt", b"4\n\xe9\n", None, "line 2: byte 0xe9 is not UTF-8", "iconv -f LATIN1"),
        ("a.txt", b"4\n8\n4\n", None, "1 ids are repeated, first '4': lines 1 and 3", "once"),
        ("a.txt", b"4\n99\n", None, "first '99': line 2 of", "numbers 0 to 9"),
        ("a.txt", b"id\n4\n", None, "first 'id': line 1", "without line 1 .*--column id"),
        ("a.txt", b"4, 8\n", None, "first '4, 8': line 1", "one id a line"),
        ("a.txt", b'"4"\n', None, "unknown", "'4', written exactly so"),
        ("a.txt", b"04\n", None, "unknown", "'4', written exactly so"),
        ("a.txt", b"4\n", "id", "plain text", "--ids-format"),
        ("a.csv", b"4,gdpr\n", None, "2 columns, and none was named", "4, gdpr"),
        ("a.csv", b"id;why\n4;x\n", "id", "no column 'id'", "commas between"),
        ("a.csv", b"id,id\n4,5\n", "id", "two columns 'id'", "differ"),
        ("a.csv", b"id,why\n4\n", "id", "line 2: 1 values, where the first line has 2", "quotes"),
        ("a.csv", b'id,why\n"4,5\n', "id", "line 2: ", "RFC 4180"),
        ("a.csv", b'id,why\n"8\n",x\n', "id", "first '8.n': line 2", "'8', written exactly so"),
        ("a.json", b"[4", None, "is no JSON", "quotes"),
        ("a.json", b'{"a": 4}', None, "JSON object, not an array", "jsonl"),
        ("a.json", b"[4, 4.0]", None, "entry 2 is a JSON fraction", "whole number"),
        ("a.json", b"[true]", None, "entry 1 is a JSON truth value", "whole number"),
        ("a.json", b"[null]", None, "entry 1 is a JSON null", "whole number"),
        ("a.json", b"[-0]", None, "first '-0': entry 1 of", "numbers 0 to 9"),
        ("a.json", b"[NaN]", None, "is no JSON", "quotes"),
        ("a.json", b"[" * 100_000, None, "is no JSON", "quotes"),
        ("a.json", b'[{"id": 4}]', None, "entry 1 is a JSON object, and none", "--column"),
        ("a.json", b'["4"]', "id", "entry 1 is a JSON string, and --column id", "without it"),
        ("a.jsonl", b'{"id": 4}\n{"it": 5}\n', "id", "line 2 has no 'id'", "'it'"),
        ("a.jsonl", b'{"id": 4, "id": 5}\n', "id", "line 1 is no JSON", "quotes"),
        ("a.jsonl", b'4\n"\\ud800"\n', None, "first '.ud800': line 2", "numbers 0 to 9"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_meant_says_where_and_what_to_do(
    tmp_path: Path, name: str, content: bytes, column: str | None, problem: str, remedy: str
) -> None:
    with pytest.raises(BadRequest) as refused:
        places_of(read(tmp_path, name, content, column), Names(None, 10))
    assert refused.match(f"(?s){problem}.*Try: .*{remedy}")
    assert "ids=" not in str(refused.value)


@pytest.mark.parametrize("order", ["le", "be"])
def test_a_file_in_utf_16_is_read_by_its_mark(tmp_path: Path, order: str) -> None:
    content = ("\ufeff" + "who,why\r\nÅsa Öst,x\r\n").encode(f"utf-16-{order}")
    asked = read(tmp_path, "ids.csv", content, "who")
    assert places_of(asked, names_of(["Lee", "Åsa Öst"], 2)) == [1]


def test_a_folder_is_no_file_of_ids(tmp_path: Path) -> None:
    with pytest.raises(BadRequest, match="Cannot read ids from"):
        asked_in_file(tmp_path, None, None)
