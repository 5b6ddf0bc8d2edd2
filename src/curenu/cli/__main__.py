"""`python -m curenu.cli`, the form in which `torchrun -m` starts the command."""

from __future__ import annotations

from curenu.cli import main

if __name__ == "__main__":
    main()
