def demo() -> None:
    """Example: curenu demo"""
