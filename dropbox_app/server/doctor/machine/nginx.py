"""Checks that nginx, in front of the drop box, keeps no trace of a visit."""

import datetime
import re
from collections.abc import Iterator

from dropbox_app.server.doctor.finding import NoAnswer, note, unseen, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.doctor.machine.units import BUSY, NGINX, Unit, unit, used

FOLDER = "/etc/klankbord/nginx/"
CONFIG = f"{FOLDER}nginx.conf"
ACCOUNT = "klankbord-nginx"
APP = "unix:/run/klankbord/"
EXPIRES = 14  # days before a certificate expires; it is renewed long before that
_MEND = f"deploy/install puts it back; then systemctl restart {NGINX}"
# The command runs as nginx's own account, with only the rights that its unit grants. It therefore
# cannot change the owner of nginx's folders or create files elsewhere.
_ASK = (
    "setpriv", f"--reuid={ACCOUNT}", f"--regid={ACCOUNT}", "--init-groups",
    "--inh-caps=-all,+net_bind_service", "--ambient-caps=-all,+net_bind_service",
    "/usr/sbin/nginx", "-T", "-q", "-e", "stderr", "-p", FOLDER, "-c", CONFIG,
)  # fmt: skip
# Directives that the promises depend on, with the required value and the effect of any other.
_WANTED = {
    "User": (ACCOUNT, "it runs as another account than its own"),
    "LimitCORE": ("0", "it may leave core dumps"),
    "MemorySwapMax": ("0", "its memory may be swapped out to a disk"),
    "NoNewPrivileges": ("yes", "it can get more rights"),
}
_RIGHTS = ("", "cap_net_bind_service")
# Other web servers that may respond on the same machine.
_OTHERS = ("caddy.service", "apache2.service", "haproxy.service", "lighttpd.service")
_ADDRESS = ("$remote_addr", "$binary_remote_addr", "$proxy_add_x_forwarded_for", "$realip")
_DEBIANS = (
    "/etc/nginx/modules-enabled/", "/usr/share/nginx/modules-available/", "/etc/nginx/mime.types",
)  # fmt: skip
_WORD = re.compile(r"""#[^\n]*|[{};]|"(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|(?:\$\{|[^\s{};"'])+""")
_KEEPERS = ("proxy_cache", "proxy_store", "client_body_in_file_only", "gzip", "gunzip", "brotli")


def proxy(machine: Machine) -> Faults:
    """Check nginx, which sees the address and time of every visit and must not record them."""
    for name in used(machine, "nginx.service", *_OTHERS):
        if name == "nginx.service":
            yield wrong(
                "proxy", "Debian's own nginx.service is started: it opens port 80 to everybody, "
                "with an access log", "systemctl disable --now nginx",
            )  # fmt: skip
        else:
            yield note(
                "proxy", f"{name} is used on this machine, and was not looked at",
                "one machine for the drop box alone: apt-get purge what serves something else",
            )  # fmt: skip
    front = unit(machine, NGINX)
    if front is None:
        yield unseen(
            "proxy", f"there is no {NGINX} here, so what stands in front of the server was not "
            "looked at", "see Serve in deploy/guide/by-hand.md; deploy/install sets it up",
        )  # fmt: skip
        return
    yield from _walls(front)
    if front["ActiveState"] not in BUSY:
        yield wrong("proxy", f"{NGINX} does not run", f"systemctl status {NGINX} says why")
        return
    settings = _settings(machine)
    yield from _kept(settings)
    yield from _spooled(settings, front)


def _walls(front: Unit) -> Faults:
    for key, (value, means) in _WANTED.items():
        if front[key] != value:
            yield wrong("proxy", f"nginx: {means}: {key}={front[key]}", _MEND)
    for key in ("CapabilityBoundingSet", "AmbientCapabilities"):
        if front[key] not in _RIGHTS:
            yield wrong("proxy", f"nginx: it has rights of root: {key}={front[key]}", _MEND)
    if CONFIG not in front["ExecStart"]:
        yield wrong("proxy", f"nginx is started with other settings than {CONFIG}", _MEND)


def _kept(settings: list[tuple[str, ...]]) -> Faults:
    """Yield the settings that record or reveal something about a visit."""
    for wanted in (("access_log", "off"), ("error_log",)):
        if not any(one[: len(wanted)] == wanted for one in settings):
            yield wrong("proxy", f"nginx keeps its default log: no {' '.join(wanted)}", _MEND)
    for one in settings:
        said = " ".join(one)
        if one[0] == "access_log" and one[1:2] != ("off",):
            yield wrong("proxy", f"nginx keeps an access log: {said}", _MEND)
        elif one[0] == "error_log" and one[2:] != ("emerg",):
            yield wrong("proxy", f"nginx names visitors in its error log: {said}", _MEND)
        elif one[0] in _KEEPERS and one[1:2] != ("off",):
            yield wrong("proxy", f"nginx keeps pages, or changes their length: {said}", _MEND)
        elif one[0] == "proxy_set_header" and any(word in said for word in _ADDRESS):
            yield wrong("proxy", f"nginx tells where a visitor comes from: {said}", _MEND)
        elif one[0] == "file" and not one[1].startswith((FOLDER, *_DEBIANS)):
            yield wrong(
                "proxy", f"nginx takes settings from {one[1]}, which are not the project's", _MEND
            )
        elif one[0] == "server" and one[1:2] != ("{",) and not one[1].startswith(APP):
            yield wrong("proxy", f"nginx passes visitors on to something else: {said}", _MEND)


def _spooled(settings: list[tuple[str, ...]], front: Unit) -> Faults:
    """Yield the folders in which nginx could write a request body to a file."""
    paths = {one[1] for one in settings if one[0].endswith("_temp_path") and one[1:]}
    closed, opened = front["ReadOnlyPaths"].split(), front["ReadWritePaths"].split()
    for path in sorted(paths or {"/var/lib/nginx"}):
        covered = front["ProtectSystem"] == "strict" or _covers(closed, path)
        if not covered or _covers(opened, path):
            yield wrong(
                "proxy", f"nginx can put what is sent, readable, in files in {path}",
                f"ReadOnlyPaths={path} in {NGINX}: {_MEND}",
            )  # fmt: skip


def _covers(places: list[str], path: str) -> bool:
    return any(f"{path}/".startswith(f"{place.lstrip('-+').rstrip('/')}/") for place in places)


def _settings(machine: Machine) -> list[tuple[str, ...]]:
    """Return nginx's effective directives as one flat list; a ``file`` entry names each file.

    A directive that opens a block ends with "{". Raises NoAnswer.
    """
    try:
        return list(_directives(machine.ask(*_ASK)))
    except NoAnswer as error:
        raise NoAnswer(f"nginx does not show its settings: {error}") from None


def _directives(said: str) -> Iterator[tuple[str, ...]]:
    words: list[str] = []
    for word in _WORD.findall(said):
        if file := re.fullmatch(r"# configuration file (\S+):", word):
            yield "file", file[1]
        elif word.startswith("#"):
            continue
        elif word in ("{", "}", ";"):
            if words:
                yield (*words, "{") if word == "{" else tuple(words)
            words = []
        else:
            words.append(word.strip("\"'"))


def certificate(machine: Machine) -> Faults:
    """Check the certificate of the domain. Nobody can visit the site if it is invalid."""
    domains = [origin[8:] for origin in machine.origins if origin.startswith("https://")]
    if not domains:
        return
    if unit(machine, NGINX) is None:
        raise NoAnswer(f"there is no {NGINX} here, so its certificates were not looked at")
    files = {one[1] for one in _settings(machine) if one[0] == "ssl_certificate" and one[1:]}
    if not files:
        yield wrong(
            "certificate", f"an https address ({domains[0]}) is in site.toml, and no "
            f"ssl_certificate in {CONFIG}",
            "deploy/install with the domain",
        )  # fmt: skip
    for file in sorted(files):
        said = machine.ask(
            "openssl", "x509", "-noout", "-enddate", "-dateopt", "iso_8601", "-in", file
        )
        found = re.fullmatch(r"notAfter=(\d{4}-\d\d-\d\d) .*\n?", said)
        if not found:
            raise NoAnswer(f"openssl gave no end date of {file}")
        if (datetime.date.fromisoformat(found[1]) - machine.today).days < EXPIRES:
            yield wrong(
                "certificate", f"{file} ends on {found[1]}",
                "certbot renew says why it was not renewed",
            )  # fmt: skip
