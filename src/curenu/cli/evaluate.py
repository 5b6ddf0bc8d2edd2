def evaluate() -> None:
    """Example: curenu evaluate"""
