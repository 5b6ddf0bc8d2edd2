"""The pages of results: what `page.py` beside this folder writes, made from the JSON alone."""

from __future__ import annotations

from results_page.made import files

__all__ = ["files"]
