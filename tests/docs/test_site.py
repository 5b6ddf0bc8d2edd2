"""The site is built strictly, and axe finds nothing in it, on a telephone and on a screen."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.docs.pages import DOCS

PAGES = (
    "", "install/", "letter_to_release/", "tutorial_own_data/", "tutorial_audit/", "concepts/",
    "glossary/", "when_it_pays/", "theory/", "results/", "results/anchored-digits/",
    "cli/", "questions/", "limits/",
    "reference/methods/", "reference/results/",
)  # fmt: skip
WIDTHS = (380, 1440)
SCHEMES = ("light", "dark")
pytestmark = pytest.mark.slow


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: Any) -> None:
        """Nothing: the log of the tests is theirs."""


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    for name in ("mkdocs", "mkdocstrings", "latex2mathml"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install '.[docs]'")
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--quiet", "--strict", "-d", str(folder)],
        cwd=DOCS.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def address(built: Path) -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(built)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    needed = "pip install playwright axe-playwright-python"
    playwright = pytest.importorskip("playwright.sync_api", reason=needed)
    pytest.importorskip("axe_playwright_python", reason=needed)
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed (Debian: apt install chromium)")
    with playwright.sync_playwright() as started:
        opened = started.chromium.launch(executable_path=program, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("scheme", SCHEMES)
def test_axe_finds_nothing(
    browser: Any, address: str, tmp_path: Path, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    found: dict[str, list[tuple[str, str]]] = {}
    for name in PAGES:
        page.goto(address + name)
        page.wait_for_load_state("networkidle")
        for violation in Axe().run(page).response["violations"]:
            nodes = [(violation["id"], node["html"][:120]) for node in violation["nodes"]]
            found.setdefault(name, []).extend(nodes)
        wide = page.evaluate("document.documentElement.scrollWidth - window.innerWidth")
        if wide > 0:
            found.setdefault(name, []).append(("the page scrolls sideways", f"{wide} px"))
        page.screenshot(path=tmp_path / f"{name.strip('/').replace('/', '-') or 'index'}.png")
    context.close()
    assert not found


def test_the_site_has_version_search_dark_mode_and_typeset_formulas(built: Path) -> None:
    from curenu import __version__

    start = (built / "index.html").read_text()
    theory = (built / "theory/index.html").read_text()
    assert f"curenu {__version__}" in start
    assert 'data-md-component="search"' in start
    assert 'data-md-color-scheme="slate"' in start
    assert theory.count('<div class="equation" id="eq-') == 14
    assert "$$" not in theory
    assert "&#x00026;" not in theory  # what aligns lines would be shown as it is
    assert not re.search(r"<m[ion][^>]*>\\", theory)  # nor what the converter does not know
    assert "<mtable" in theory  # the matrix of (11)
    assert 'class="arithmatex"' not in theory


def test_tables_scroll_by_keyboard_and_their_figures_lead_to_the_glossary(built: Path) -> None:
    results = (built / "results/anchored-digits/index.html").read_text()
    assert results.count("<table") == results.count('role="group" aria-label="Table ')
    linked = results.count('<th><a href="../../glossary/#r">Rf</a></th>')
    assert linked == results.count(">Rf<") > 5
    glossary = (built / "glossary/index.html").read_text()
    assert all(f'id="{anchor}"' in glossary for anchor in ("r", "g", "tow", "rmia", "cost"))


def test_the_reference_has_parameter_tables(built: Path) -> None:
    methods = (built / "reference/methods/index.html").read_text()
    section = methods.split('<h2 id="curenu.methods.StoCuReNU"')[1].split("<h2 ")[0]
    rows = section.split("<tbody>")[1].split("</tbody>")[0].split("<tr")[1:]
    (row,) = [row for row in rows if "<code>sample_size</code>" in row]
    assert "1280" in row
    assert "retained examples drawn anew" in row
