"""The version of this package, as its records name it."""

__all__ = ["__version__"]

__version__ = "0.1.0"
