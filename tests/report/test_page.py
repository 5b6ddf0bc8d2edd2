"""The one page of all commands: what stands in front, what is folded, what is left out."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from curenu.report import NOTHING, ORACLE, Figure, Model, Plot, Report, Section
from curenu.report.figure import written
from curenu.report.tables import folded, front
from curenu.report.tracks import tracks_of
from tests.report.pages import full, models


class Outline(HTMLParser):
    """Tables by their caption, whether folded, and the ids and links of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.folded: dict[str, bool] = {}
        self.ids: list[str] = []
        self.links: list[str] = []
        self.depth, self.rows, self.caption, self.into = 0, [[""]], "", ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = dict(attrs)
        if named.get("id"):
            self.ids.append(str(named["id"]))
        if tag == "a":
            self.links.append(str(named["href"]))
        self.depth += tag == "details"
        if tag == "table":
            self.rows, self.caption = [], ""
        elif tag == "tr":
            self.rows.append([])
        elif tag in ("th", "td"):
            self.rows[-1].append("")
        self.into = tag if tag in ("caption", "th", "td") else self.into

    def handle_endtag(self, tag: str) -> None:
        self.depth -= tag == "details"
        if tag in ("caption", "th", "td"):
            self.into = ""
        elif tag == "table":
            self.tables[self.caption] = self.rows
            self.folded[self.caption] = self.depth > 0

    def handle_data(self, data: str) -> None:
        if self.into == "caption":
            self.caption += data
        elif self.into:
            self.rows[-1][-1] += data


def outline(report: Report) -> Outline:
    return Outline(report.html())


def test_six_columns_stand_in_front_and_the_rest_is_folded() -> None:
    found = outline(Report("t", "", (Section("s", models=models(), featured="stocurenu"),)))
    headings = found.tables["Models compared"][0]
    assert headings == ["model", "Rf", "G loss", "RMIA", "TA", "÷ retrain"]
    assert not found.folded.pop("Models compared")
    assert all(found.folded.values())
    assert found.tables["Weights"][0] == ["model", "|update|", "damping"]
    shown = [h for name, rows in found.tables.items() for h in rows[0][1:]]
    assert sorted(shown) == sorted(set(shown))
    assert {"Rr", "JSD f", "FA", "products"} <= set(shown)


def test_large_figures_and_those_without_a_meaning_have_signs() -> None:
    rows = outline(full()).tables["Models compared"]
    assert rows[0][:3] == ["model", "Rf", "G loss"]
    found = {row[0]: row[1:] for row in front(models()).lines and [
        [model.name, *(cell.text for cell in cells)] for model, cells in front(models()).lines
    ]}  # fmt: skip
    assert found["pseudo-inverse-newton"] == ["≫", "≪", "0.20 ± 0.04", "0.100 ± 0.040", "≫"]
    assert found["dense"] == ["–"] * 5
    assert found["stocurenu"][0] == "1.20 ± 0.04"
    weights = next(table for table in folded(models()) if table.title == "Weights")
    by_name = {model.name: [cell.text for cell in cells] for model, cells in weights.lines}
    assert by_name["pseudo-inverse-newton"] == ["≫", "–"]
    cost = next(table for table in folded(models()) if table.title == "Cost")
    assert "12,345" in [cells[0].text for _, cells in cost.lines]


@pytest.mark.parametrize(
    ("value", "text"),
    [(100.0, "100"), (100.1, "≫"), (-100.1, "≪"), (float("inf"), "≫"), (float("nan"), "NaN"),
     (None, "–"), (-0.0004, "0.00"), (0.0007, "0.00"), (0.994, "0.99")],
)  # fmt: skip
def test_numbers_of_a_report(value: float | None, text: str) -> None:
    assert written(value) == text


def test_small_figures_keep_the_digits_of_their_column() -> None:
    assert [written(value, 4) for value in (0.0007, 0.00001)] == ["0.0007", "1.000e-05"]


def test_g_is_a_dash_for_all_where_doing_nothing_has_none() -> None:
    g = {"G loss": Figure(0.7), "Rf": Figure(1.0)}
    nothing = Model(NOTHING, {"Rf": Figure(1.0)})
    table = front([nothing, Model(ORACLE, g), Model("m", g)])
    assert [column.heading for column in table.columns] == ["Rf", "G loss"]
    assert [cells[1].text for _, cells in table.lines] == ["–"] * 3


def test_other_tasks_have_their_own_figures_in_front() -> None:
    own = {name: Figure(1.5) for name in ("Df", "loss f", "loss t", "loss attack AUC", "ratio")}
    table = front([Model(NOTHING, own), Model("m", own)])
    assert [c.figure for c in table.columns] == ["Df", "G loss", "loss attack AUC", "loss t",
                                                 "ratio"]  # fmt: skip


def test_dots_stand_between_doing_nothing_and_the_oracle() -> None:
    first, attack = tracks_of(models())
    assert (first.figure, attack.figure) == ("Rf", "RMIA AUC")
    at = {dot.name: dot for dot in first.dots}
    assert at[NOTHING].at == first.left
    assert at[ORACLE].at == first.right
    assert first.left < at["stocurenu"].low < at["stocurenu"].at < at["stocurenu"].high
    half = at["method 3"].at  # 1.75, of the way from 3 to 1 by logarithms
    assert (half - first.left) / (first.right - first.left) == pytest.approx(0.4906, abs=1e-3)
    assert at["pseudo-inverse-newton"].beyond == "left"
    assert at["stocurenu"].words == (
        "stocurenu: 1.20, 95 % interval 1.16 to 1.24; do nothing 3.00, oracle 1.00."
    )
    assert "dense" not in at


def test_nothing_is_drawn_where_there_is_no_way_to_the_oracle() -> None:
    level = [Model(name, {"Rf": Figure(r)}) for name, r in ((NOTHING, 0.8), (ORACLE, 1.0))]
    assert tracks_of(level) == []
    page = Report("t", "", (Section("s", models=(*level, Model("m", {"Rf": Figure(2.0)}))),)).html()
    assert "cannot be told apart here" in page
    assert '<ul class="tracks">' not in page


def test_every_link_leads_to_a_definition_on_the_page() -> None:
    found = outline(full())
    assert len(set(found.ids)) == len(found.ids)
    assert all(link.startswith("#") and link[1:] in found.ids for link in found.links)
    assert {"#w-oracle", "#w-noise", "#w-R", "#c-Rf", "#c-G-20loss"} <= set(found.links)


def test_the_page_holds_every_part_and_fetches_nothing() -> None:
    page = full().html()
    for text in ("A title &amp; more", "&lt;two&gt;", "Done &lt;well&gt;.", "It takes 10 GiB.",
                 "letter 17", "record 2, aaa", "U-LiRA needs more networks.", "14 of 1,437",
                 "stocurenu:</span> By their loss, the model treats"):  # fmt: skip
        assert text in page
    fetched = re.findall(r'(?:\bsrc|\bhref)="([^"#][^"]*)"|url\((?!#)|@import', page)
    assert fetched == []


def test_what_is_empty_is_not_on_the_page() -> None:
    page = Report("t", "", (Section("s", models=models()[:3], featured="stocurenu"),)).html()
    for words in ("What may be concluded", "What was not done or", "Plots", "Every request",
                  "Where this comes from", "by its verdict", "<ul></ul>", "<p></p>"):  # fmt: skip
        assert words not in page
    assert "<svg" not in Report("t", "", ()).html()


def test_plots_are_well_formed_and_share_no_names() -> None:
    page = full().html()
    drawings = re.findall(r'<div class="plot".*?(<svg.*?</svg>)\s*</div>', page, flags=re.DOTALL)
    assert len(drawings) == 2
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.get("role") == "img"
        assert root.get("aria-label") in ("One. What the cubic term chose.",
                                          "Two. What the cubic term chose.")  # fmt: skip
        own = {node.get("id") for node in root.iter()} - {None}
        used = re.findall(r'(?:url\(|href=")#([^)"]+)', drawing)
        assert used
        assert set(used) <= own
        assert "#5f6b7a" not in drawing  # the page's colours, light or dark


def test_the_same_report_is_the_same_text() -> None:
    assert full().html() == full().html()


def test_any_name_is_shown_as_it_stands() -> None:
    for name in ("$x", "_hidden", "[red]\x00", "a\ud800", "<b>", "名前"):
        section = Section(name, models=(Model(name, {"Rf": Figure(1.0)}),), featured=name,
                          plots=(Plot(name, name, "<svg></svg>"),))  # fmt: skip
        page = Report(name, name, (section,)).html()
        page.encode()
        assert "<b>:" not in page
