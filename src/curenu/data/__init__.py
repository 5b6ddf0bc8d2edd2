"""Examples as users have them, fetched by position."""

from curenu.data.examples import Examples

__all__ = ["Examples"]
