"""Prices, in whole cents."""


def price_after(cents: int, percent: int) -> int:
    """The price after a discount."""
    return cents * (100 - percent) // 100


def basket(prices: list[int], percent: int) -> int:
    """What a basket costs after a discount on each of its articles."""
    return sum(price_after(cents, percent) for cents in prices)
