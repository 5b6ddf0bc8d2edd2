"""`python -m curenu`: the command line."""

from __future__ import annotations

from curenu.cli import main

if __name__ == "__main__":
    main()
