"""What the default did on every task, in one row an erasure: table, sentences, picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from curenu.bench import lines_of
from curenu.bench.config import MethodConfig
from curenu.bench.summary import Line
from curenu.report import NOTHING, Figure, markdown_table
from curenu.report.plots import figure, named
from results_page.source import Source

__all__ = ["Entry", "entries", "picture", "sentences", "table"]

DEFAULT = "stocurenu"
KINDS = {
    "random": "Random parts",
    "part": "Half of one or two classes",
    "whole": "Whole classes",
    "mislabelled": "Wrong labels",
    "groups": "Whole people of a recommender",
    "rounds": "Several requests one after the other",
}
_COLOURS = {"var(--soft)": "#7a8594", "var(--ink)": "#7a8594"}  # read on white and on black


@dataclass(frozen=True)
class Entry:
    """One erasure: the default, doing nothing, and the tuned rival that ends nearest."""

    source: Source
    task: str
    erasure: str
    kind: str
    nothing: Line
    default: Line
    rival: Line | None

    @property
    def words(self) -> str:
        """Task and erasure."""
        return f"{self.task}, {self.erasure}"

    @property
    def beaten(self) -> bool:
        """Whether that rival is nearer on the forget set by more than both intervals."""
        return self.rival is not None and _apart(self.rival, self.default, "Rf")

    @property
    def harmed(self) -> bool:
        """Whether doing nothing is nearer on any set by more than both intervals."""
        return any(_apart(self.nothing, self.default, name) for name in ("Rf", "Rr", "Rt"))


def entries(found: Sequence[Source]) -> list[Entry]:
    """Of all benchmarks in which the default is compared with tuned rivals."""
    made = []
    for source in found:
        results = source.results
        lines = {(line.erasure, line.method): line for line in lines_of(results)}
        methods = [MethodConfig.model_validate(m) for m in results["config"]["methods"]]
        for erasure in results["config"]["erasures"]:
            name = erasure["name"]
            default, nothing = (lines.get((name, method)) for method in (DEFAULT, NOTHING))
            if default is None or nothing is None or "Rf" not in default.figures:
                continue
            tuned = [lines.get((name, m.title)) for m in methods if m.grid]
            rivals = [line for line in tuned if line is not None and "Rf" in line.figures]
            rival = min(rivals, key=lambda line: _away(line.figures["Rf"]), default=None)
            kind = erasure["kind"]
            if erasure["rounds"] > 1:
                kind = "rounds"
            elif kind == "classes":
                kind = "whole" if erasure["share"] == 1 else "part"
            task = results["config"]["task"]["name"]
            made.append(Entry(source, task, name, kind, nothing, default, rival))
    return made


def table(rows: Sequence[Entry]) -> str:
    """One row an erasure."""
    heads = ["task", "erasure", "Rf, nothing done", "Rf, erased", "Rf, nearest tuned rival",
             "G loss", "examples ÷", "weighted ÷", "defaults"]  # fmt: skip
    lines = [
        [
            f"[{row.task}]({row.source.page})",
            row.erasure,
            _said(row.nothing, "Rf"),
            _said(row.default, "Rf"),
            "–" if row.rival is None else f"{_said(row.rival, 'Rf')} ({row.rival.method})",
            _said(row.default, "G loss"),
            *(_said(row.default, f"{unit} ratio", half=False) for unit in ("examples", "weighted")),
            "older" if row.source.older else "present",
        ]
        for row in rows
    ]
    return markdown_table(heads, lines)


def sentences(rows: Sequence[Entry]) -> str:
    """What the table says, in words with its own numbers."""
    told = []
    for kind, words in KINDS.items():
        own = [row for row in rows if row.kind == kind]
        if own:
            count = f"{len(own)} erasure{'s' * (len(own) > 1)}"
            told.append(
                f"- **{words}** ({count}): R on the forget set {_range(own, 'Rf')}, where doing "
                f"nothing has {_range(own, 'Rf', nothing=True)}; G of the loss "
                f"{_range(own, 'G loss')}; examples passed {_range(own, 'examples ratio')} of a "
                "retraining's."
            )
    beaten = [f"{row.words}: `{row.rival.method}`" for row in rows if row.beaten and row.rival]
    harmed = [row.words for row in rows if row.harmed]
    opening = (
        f"**In short.** Of {len(rows)} erasures by `{DEFAULT}` with nothing set, "
        f"{_counted(harmed)} ended further from retraining than doing nothing on the forget, "
        f"retain or test set. In {_counted(beaten)} a tuned rival ended nearer on the forget set. "
        "Both are meant by more than both intervals, and with two networks intervals are wide. "
        "R is the distance from retrained networks over that of those from each other: 1 is the "
        "aim. G is the part of the gap that was closed."
    )
    return "\n".join([opening, "", *told])


def picture(rows: Sequence[Entry]) -> str:
    """R on the forget set before (open) and after (filled), a line an erasure: SVG."""
    with figure(7.4, 0.9 + 0.23 * len(rows)) as (axes, finish):
        for place, row in enumerate(reversed(rows)):
            before, after = (line.figures["Rf"].mean for line in (row.nothing, row.default))
            axes.plot([before, after], [place, place], color="#9aa5b1", linewidth=1.2, zorder=1)
            axes.scatter([before], [place], s=26, facecolors="none", edgecolors="#7a8594")
            axes.scatter([after], [place], s=30, color="#3f7fbf", zorder=2)
        axes.axvline(1.0, color="#7a8594", linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.set_yticks(range(len(rows)), [named(row.words) for row in reversed(rows)])
        axes.set_xlabel("Rf: open before, filled after; 1 (dotted) is as near as two retrainings")
        text = finish()
    for variable, colour in _COLOURS.items():
        text = text.replace(variable, colour)
    return text.rstrip() + "\n"


def _apart(near: Line, far: Line, name: str) -> bool:
    """Whether that R of `near` is below that of `far` by more than both intervals, 1 at least."""
    one, other = (line.figures.get(name) for line in (near, far))
    if one is None or other is None or one.interval is None or other.interval is None:
        return False
    return _away(other) - _away(one) > one.half + other.half


def _away(found: Figure) -> float:
    """R as it is judged: below 1 is not nearer than 1."""
    return max(1.0, found.mean)


def _range(rows: Sequence[Entry], name: str, *, nothing: bool = False) -> str:
    lines = [row.nothing if nothing else row.default for row in rows]
    means = [line.figures[name].mean for line in lines if name in line.figures]
    if not means:
        return "–"
    low, high = _short(min(means)), _short(max(means))
    return low if low == high else f"{low} to {high}"


def _said(line: Line, name: str, *, half: bool = True) -> str:
    """Mean and half of the interval; a dash for none."""
    found = line.figures.get(name)
    if found is None:
        return "–"
    spread = f"\u00a0±\u00a0{_short(found.half)}" if half and found.interval else ""
    return _short(found.mean) + spread


def _short(value: float) -> str:
    return f"{value:.0f}" if abs(value) >= 100 else f"{value + 0.0:.2f}"


def _counted(names: Sequence[str]) -> str:
    return f"{len(names)} ({'; '.join(names)})" if names else "none"
