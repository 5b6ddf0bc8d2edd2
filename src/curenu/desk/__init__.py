"""The erasure desk: from a person's letter to a released model with signed evidence of it.

Needs the extra `curenu[desk]`; nothing else in curenu imports this package.
"""
