"""Fewer Hypothesis examples for tests in which one example is as slow as hundreds of others."""

from hypothesis import settings


def half() -> settings:
    """Return settings for half of the examples of this kind of run."""
    assert settings.default is not None
    return settings(max_examples=max(1, settings.default.max_examples // 2))


def half_at_most(number: int) -> settings:
    """Try half of the examples, at most ``number``: for the slowest tests."""
    assert settings.default is not None
    return settings(max_examples=max(1, min(number, settings.default.max_examples // 2)))
