"""Fewer Hypothesis examples for tests in which one example is as slow as hundreds of others."""

from hypothesis import settings


def half() -> settings:
    """Return settings with half as many examples as usual."""
    assert settings.default is not None
    return settings(max_examples=max(1, settings.default.max_examples // 2))


def half_at_most(number: int) -> settings:
    """Return settings with half as many examples as usual, at most ``number``."""
    assert settings.default is not None
    return settings(max_examples=max(1, min(number, settings.default.max_examples // 2)))


def at_most(number: int) -> settings:
    """Return settings with as many examples as usual, at most ``number``."""
    assert settings.default is not None
    return settings(max_examples=min(number, settings.default.max_examples))
