"""The routes of an app, read once per process, because every test's app has the same."""

from typing import Any, ClassVar

from werkzeug.routing import Rule


class KnownRule(Rule):
    """A rule that reuses the compiled form of an equal one of an earlier app.

    Compiling the rules takes most of the time to make an app, and nearly every test makes one.
    A converter of such a rule has the map of the first app; ours do not use it.
    """

    known: ClassVar[dict[str, dict[str, Any]]] = {}

    def compile(self) -> None:
        assert self.map is not None
        given = {name: value for name, value in vars(self).items() if name != "map"}
        key = repr((given, self.map.converters, self.map.host_matching))
        if key not in self.known:
            super().compile()
            self.known[key] = {name: value for name, value in vars(self).items() if name != "map"}
        vars(self).update(self.known[key])
