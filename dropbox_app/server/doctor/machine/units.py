"""systemd's units as they hold: the unit's file, what was added to it, and what came last."""

from dataclasses import dataclass

from dropbox_app.server.doctor.machine import Machine

# The first place that has a file of a name wins.
_PLACES = ("/etc/systemd/system", "/run/systemd/system", "/usr/lib/systemd/system",
           "/lib/systemd/system")  # fmt: skip


@dataclass(frozen=True)
class Unit:
    """The settings of a unit's [Service] and [Timer] sections, each with all its values."""

    name: str
    files: tuple[str, ...]
    settings: dict[str, tuple[str, ...]]

    def last(self, key: str) -> str:
        """The value that holds, where only the last one counts; empty if there is none."""
        return self.settings.get(key, ("",))[-1]

    def on(self, key: str) -> bool:
        """Whether a switch is on."""
        return self.last(key).lower() in ("yes", "true", "on", "1")


def unit(machine: Machine, name: str) -> Unit | None:
    """A unit; None if there is none of that name. Raises Unseen."""
    own = next((file for file in _named(machine, name)), None)
    if own is None:
        return None
    files = [own, *_added(machine, name)]
    settings: dict[str, tuple[str, ...]] = {}
    for file in files:
        for key, value in _assigned(machine.lines(file)):
            before = settings.get(key, ())
            settings[key] = (*before, value) if value else ("",)
    return Unit(name, tuple(files), settings)


def _named(machine: Machine, name: str) -> list[str]:
    """Where a unit's file can be: its own, else that of its template."""
    start, at, rest = name.partition("@")
    names = [name, f"{start}@.{rest.rpartition('.')[2]}"] if at else [name]
    return [
        f"{place}/{one}" for one in names for place in _PLACES if machine.there(f"{place}/{one}")
    ]


def _added(machine: Machine, name: str) -> list[str]:
    """The drop-ins, in the order in which they hold."""
    start, at, rest = name.partition("@")
    kind = name.rpartition(".")[2]
    folders = [f"{kind}.d", f"{start}@.{rest.rpartition('.')[2]}.d" if at else "", f"{name}.d"]
    found: dict[str, str] = {}
    for folder in folders:
        for place in reversed(_PLACES):
            for file in machine.inside(f"{place}/{folder}", "*.conf") if folder else ():
                found[file.rpartition("/")[2]] = file
    return [found[file] for file in sorted(found)]


def _assigned(lines: list[str]) -> list[tuple[str, str]]:
    found = []
    section = ""
    for line in "\n".join(lines).replace("\\\n", " ").splitlines():
        text = line.strip()
        if text.startswith("["):
            section = text
        elif text and text[0] not in "#;" and section in ("[Service]", "[Timer]"):
            key, _, value = text.partition("=")
            found.append((key.strip(), value.strip()))
    return found


def settings_of(machine: Machine, name: str) -> dict[str, str]:
    """What a program of systemd is told: in /etc/systemd/NAME.conf and the files added to it."""
    held: dict[str, str] = {}
    files: dict[str, str] = {}
    for place in ("/usr/lib/systemd", "/lib/systemd", "/run/systemd", "/etc/systemd"):
        for file in machine.inside(f"{place}/{name}.conf.d", "*.conf"):
            files[file.rpartition("/")[2]] = file
    for file in (f"/etc/systemd/{name}.conf", *(files[one] for one in sorted(files))):
        for line in machine.lines(file):
            key, equals, value = line.strip().partition("=")
            if equals and key[:1] not in ("#", ";", "["):
                held[key.strip()] = value.strip()
    return held
