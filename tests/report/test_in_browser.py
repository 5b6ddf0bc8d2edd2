"""The page in a browser: both widths, light and dark, in print, by keyboard, and by axe's rules."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.report.pages import full

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
SIZES = [(width, scheme) for width in (380, 1440) for scheme in ("light", "dark")]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt install chromium"),
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    playwright = pytest.importorskip("playwright.sync_api", reason="pip install playwright")
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(full().html())
    return path


def opened(browser: Any, report: Path, width: int = 1440, scheme: str = "light") -> Any:
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page.goto(report.as_uri())
    return page


def unfold(page: Any) -> None:
    page.evaluate("document.querySelectorAll('details').forEach(one => { one.open = true })")


@pytest.mark.parametrize(("width", "scheme"), SIZES)
def test_axe_finds_no_violation_and_the_page_does_not_scroll_sideways(
    browser: Any, report: Path, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    page = opened(browser, report, width, scheme)
    for folded in (True, False):
        if not folded:
            unfold(page)
        picture = report.with_name(f"{width}-{scheme}-{'folded' if folded else 'open'}.png")
        page.screenshot(path=picture, full_page=True)
        assert picture.stat().st_size > 10_000
        assert page.evaluate("document.documentElement.scrollWidth") == width
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
    page.close()


def test_light_and_dark_are_two_pages(browser: Any, report: Path) -> None:
    colours = []
    for scheme in ("light", "dark"):
        page = opened(browser, report, scheme=scheme)
        body = "(getComputedStyle(document.body))"
        colours.append(page.evaluate(f"[{body}.backgroundColor, {body}.color]"))
        page.close()
    assert colours[0] == ["rgb(255, 255, 255)", "rgb(29, 39, 51)"]
    assert colours[1] == ["rgb(20, 24, 29)", "rgb(232, 236, 241)"]


def test_wide_tables_scroll_in_regions_with_a_name(browser: Any, report: Path) -> None:
    page = opened(browser, report, 380)
    unfold(page)
    regions = page.evaluate(
        """[...document.querySelectorAll('.wide, .plot')].map(one => [one.scrollWidth >
        one.clientWidth, one.tabIndex, one.getAttribute('role'),
        one.getAttribute('aria-labelledby').split(' ').map(
        id => document.getElementById(id).textContent).join(': ')])"""
    )
    assert "90 % of <two> classes: Models compared" in [name for *_, name in regions]
    assert any(scrolls for scrolls, *_ in regions)
    assert all((index, role) == (0, "region") and name for _, index, role, name in regions)
    page.close()


@pytest.mark.parametrize("width", [380, 1440])
def test_every_interactive_element_is_reached_by_tab(
    browser: Any, report: Path, width: int
) -> None:
    page = opened(browser, report, width)
    unfold(page)
    wanted = page.evaluate(
        """(() => { const all = document.querySelectorAll('a[href], summary, [tabindex="0"]');
        all.forEach((one, place) => { one.dataset.place = place }); return all.length })()"""
    )
    assert wanted > 30
    reached = []
    for _ in range(wanted):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("Number(document.activeElement.dataset.place)"))
    assert reached == list(range(wanted))
    outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
    assert outline == "solid"
    page.close()


def test_folds_open_by_keyboard(browser: Any, report: Path) -> None:
    page = opened(browser, report)
    first = page.locator("summary").first
    first.focus()
    page.keyboard.press("Enter")
    assert page.locator("details").first.evaluate("one => one.open")
    page.close()


def test_print_hides_nothing(browser: Any, report: Path) -> None:
    page = opened(browser, report, 794)  # the width of A4
    page.emulate_media(media="print")
    hidden = page.evaluate(
        """[...document.querySelectorAll('main *:not(style)')].filter(one =>
        !one.closest('.ends') && one.textContent.trim() &&
        !one.checkVisibility({contentVisibilityAuto: true})).map(one => one.tagName)"""
    )
    assert hidden == []
    heights = page.evaluate(
        "[...document.querySelectorAll('details table')].map(one => one.offsetHeight)"
    )
    assert len(heights) >= 5
    assert min(heights) > 20
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    page.close()
