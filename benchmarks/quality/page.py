"""Makes `docs/results.md` and `docs/results/` from the JSON in `results/`, and from nothing else.

    python benchmarks/quality/page.py

`results/NAME.json` is a copy of the `results.json` of `curenu bench NAME`, or what `plateau.py`
or `sequence.py` wrote; `results/NAME.md`, if there is one, are remarks on it: where ours and the
published figures differ, and why. What the pages say is in `results_page/`.
"""

from __future__ import annotations

from pathlib import Path

from results_page import files

HERE = Path(__file__).parent
DOCS = HERE.parent.parent / "docs"


def main() -> None:
    made = files(HERE / "results")
    folder = DOCS / "results"
    folder.mkdir(exist_ok=True)
    for place in folder.iterdir():
        if f"results/{place.name}" not in made:
            place.unlink()
    for name, text in made.items():
        (DOCS / name).write_text(text)


if __name__ == "__main__":
    main()
