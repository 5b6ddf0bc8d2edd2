"""How ids are called in text: by their exact text, or not at all."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from curenu.errors import BadRequest
from curenu.names import Names, check_request_name, names_of

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@given(st.lists(TEXT, unique=True, min_size=1), st.data())
def test_a_text_names_the_id_that_it_equals_and_no_other(ids: list[str], data: Any) -> None:
    names = names_of(ids, len(ids))
    assert [names.place(name) for name in ids] == list(range(len(ids)))
    other = data.draw(TEXT)
    assert (names.place(other) is None) == (other not in ids)


@given(st.integers(1, 10**6), TEXT | st.integers(-5, 10**7).map(str))
def test_a_position_is_called_by_its_plain_digits_only(size: int, text: str) -> None:
    place = Names(None, size).place(text)
    plain = text.isascii() and text.isdigit() and str(int(text)) == text and int(text) < size
    assert place == (int(text) if plain else None)


@pytest.mark.parametrize("word", ["04", "+4", "-0", "4.0", "4 ", "４", "1_0", "1e1", "10", ""])
def test_a_number_written_otherwise_is_no_position(word: str) -> None:
    assert Names(None, 10).place(word) is None


@pytest.mark.parametrize(
    ("ids", "problem"),
    [
        ([1, "1"], r"1 \(int\) and '1' \(str\) read the same"),
        (["a", "b", "a"], "Positions 0 and 2 share the id 'a'"),
        (["a", ["b"]], r"\['b'\] at position 1 is a list"),
        ([0, True], "True at position 1 is a bool"),
        (["a", "b\ud800"], "'b\\\\ud800' holds half a character"),
        (["a"], "1 ids for 2 examples"),
    ],
)
def test_ids_that_text_cannot_tell_apart_are_refused(ids: list[Any], problem: str) -> None:
    with pytest.raises(BadRequest, match=problem):
        names_of(ids, 2 if len(ids) < 3 else 3)


@pytest.mark.parametrize("made", [np.asarray, torch.tensor])
def test_ids_of_an_array_are_the_numbers_it_holds(made: Any) -> None:
    names = names_of(made([7, 3]), 2)
    assert [names.place("7"), names.place("3"), names.place("tensor(7)")] == [0, 1, None]


@pytest.mark.parametrize("name", ["", "  ", "a\udc80"])
def test_a_request_must_have_a_name_that_can_be_written(name: str) -> None:
    with pytest.raises(BadRequest):
        check_request_name(name)
    check_request_name(None)
    check_request_name("[red] $x$ Löschung")
