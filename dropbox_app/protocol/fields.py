"""Values of the right type out of a JSON object, each refusal naming the field (SPEC section 1).

Every function raises FormatError; ``key`` is the field's name.
"""

from collections.abc import Collection, Mapping

from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.errors import FormatError


def text_of(fields: Mapping[str, Json], key: str) -> str:
    """A text."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise FormatError(f"{key} is missing or no text")
    return value


def one_of(fields: Mapping[str, Json], key: str, allowed: Collection[str]) -> str:
    """One of the ``allowed`` words."""
    value = text_of(fields, key)
    if value not in allowed:
        raise FormatError(f"{key} is none of {', '.join(allowed)}")
    return value


def number_of(fields: Mapping[str, Json], key: str, least: int = 0) -> int:
    """A number, at least ``least``; ``true``, which Python counts as 1, is none."""
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise FormatError(f"{key} is no number from {least}")
    return value


def flag_of(fields: Mapping[str, Json], key: str) -> bool:
    """True or false."""
    value = fields.get(key)
    if not isinstance(value, bool):
        raise FormatError(f"{key} is missing or neither true nor false")
    return value


def object_of(fields: Mapping[str, Json], key: str) -> dict[str, Json]:
    """An object."""
    value = fields.get(key)
    if not isinstance(value, dict):
        raise FormatError(f"{key} is missing or no object")
    return value


def objects_of(
    fields: Mapping[str, Json], key: str, most: int | None = None, least: int = 0
) -> list[dict[str, Json]]:
    """A list of ``least`` to ``most`` objects and of nothing else."""
    values = _list_of(fields, key, least, most)
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) != len(values):
        raise FormatError(f"{key} holds something of the wrong type")
    return objects


def texts_of(
    fields: Mapping[str, Json], key: str, most: int | None = None, least: int = 0
) -> list[str]:
    """A list of ``least`` to ``most`` texts, none of them twice, and of nothing else."""
    values = _list_of(fields, key, least, most)
    texts = [value for value in values if isinstance(value, str)]
    if len(set(texts)) != len(values):
        raise FormatError(f"{key} holds something twice, or of the wrong type")
    return texts


def _list_of(fields: Mapping[str, Json], key: str, least: int, most: int | None) -> list[Json]:
    values = fields.get(key)
    if not isinstance(values, list):
        raise FormatError(f"{key} is missing or no list")
    if len(values) < least or (most is not None and len(values) > most):
        raise FormatError(f"{key} is no list of {least} to {most}")
    return values
