"""Read and type-check values from a JSON object. Each error names the field (SPEC section 1).

Every function raises FormatError for an invalid field. ``key`` is the field's name.
"""

from collections.abc import Collection, Mapping

from dropbox_app.protocol.encoding import Json
from dropbox_app.protocol.errors import FormatError


def text_of(fields: Mapping[str, Json], key: str) -> str:
    """Return the field if it is a string."""
    value = fields.get(key)
    if not isinstance(value, str):
        raise FormatError(f"{key} is missing or not a string")
    return value


def one_of(fields: Mapping[str, Json], key: str, allowed: Collection[str]) -> str:
    """Return the field if it is one of the ``allowed`` words."""
    value = text_of(fields, key)
    if value not in allowed:
        raise FormatError(f"{key} must be one of {', '.join(allowed)}")
    return value


def number_of(fields: Mapping[str, Json], key: str, least: int = 0) -> int:
    """Return the field if it is a number of at least ``least``; ``true`` is not a number."""
    value = fields.get(key)
    if not isinstance(value, int) or isinstance(value, bool) or value < least:
        raise FormatError(f"{key} is not a number of at least {least}")
    return value


def flag_of(fields: Mapping[str, Json], key: str) -> bool:
    """Return the field if it is true or false."""
    value = fields.get(key)
    if not isinstance(value, bool):
        raise FormatError(f"{key} is missing or neither true nor false")
    return value


def object_of(fields: Mapping[str, Json], key: str) -> dict[str, Json]:
    """Return the field if it is an object."""
    value = fields.get(key)
    if not isinstance(value, dict):
        raise FormatError(f"{key} is missing or not an object")
    return value


def objects_of(
    fields: Mapping[str, Json], key: str, most: int | None = None, least: int = 0
) -> list[dict[str, Json]]:
    """Return the field if it is a list of ``least`` to ``most`` objects."""
    values = _list_of(fields, key, least, most)
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) != len(values):
        raise FormatError(f"{key} holds something of the wrong type")
    return objects


def texts_of(
    fields: Mapping[str, Json], key: str, most: int | None = None, least: int = 0
) -> list[str]:
    """Return the field if it is a list of ``least`` to ``most`` different strings."""
    values = _list_of(fields, key, least, most)
    texts = [value for value in values if isinstance(value, str)]
    if len(set(texts)) != len(values):
        raise FormatError(f"{key} holds something twice, or of the wrong type")
    return texts


def _list_of(fields: Mapping[str, Json], key: str, least: int, most: int | None) -> list[Json]:
    values = fields.get(key)
    if not isinstance(values, list):
        raise FormatError(f"{key} is missing or not a list")
    if len(values) < least or (most is not None and len(values) > most):
        raise FormatError(f"{key} is not a list of {least} to {most}")
    return values
