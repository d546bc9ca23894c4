"""The web server in front of the drop box, where there is one: that it keeps nothing of a visit."""

from collections.abc import Iterator

from dropbox_app.server.doctor.finding import note, wrong
from dropbox_app.server.doctor.machine import Faults, Machine
from dropbox_app.server.doctor.machine.directives import Directive, caddy, nginx

CADDYFILE = "/etc/caddy/Caddyfile"
NGINX = "/etc/nginx/nginx.conf"
SOCKETS = "/run/klankbord/"
_CADDY_MEND = "as in deploy/caddy/Caddyfile, then systemctl restart caddy"
_NGINX_MEND = "as in deploy/nginx/nginx.conf, then systemctl reload nginx"
_OTHERS = {
    "/etc/apache2/apache2.conf": "Apache",
    "/etc/haproxy/haproxy.cfg": "HAProxy",
    "/etc/lighttpd/lighttpd.conf": "lighttpd",
}


def in_front(machine: Machine) -> dict[str, Directive]:
    """The web servers whose settings lead to the drop box: by name, their settings."""
    found = {}
    text = machine.text(CADDYFILE)
    if text and SOCKETS in text:
        found["caddy"] = caddy(text)
    text = machine.text(NGINX)
    if text:
        tree = nginx(text, lambda pattern: _included(machine, pattern))
        if any(SOCKETS in str(one) for one in tree.all()):
            found["nginx"] = tree
    return found


def _included(machine: Machine, pattern: str) -> list[str]:
    path = pattern if pattern.startswith("/") else f"/etc/nginx/{pattern}"
    folder, _, name = path.rpartition("/")
    files = machine.inside(folder, name) if "*" in name else [path]
    return [machine.text(file) or "" for file in files]


def proxy(machine: Machine) -> Faults:
    """It sees addresses and the moment of every visit, and has to forget them."""
    found = in_front(machine)
    if "caddy" in found:
        yield from _caddy(found["caddy"])
    if "nginx" in found:
        yield from _nginx(found["nginx"])
    if not found and any(origin.startswith("https://") for origin in machine.origins):
        yield note(
            "proxy", "no settings of Caddy or nginx here lead to the drop box, so what serves the "
            "https address was not looked at",
            f"see Serve in deploy/README.md; its settings have to lead to {SOCKETS}",
        )  # fmt: skip
    for file, name in _OTHERS.items():
        if machine.there(file):
            yield note(
                "proxy", f"{name} is on this machine ({file}), and was not looked at",
                "one machine for the drop box alone: apt-get purge what serves something else",
            )  # fmt: skip


def _caddy(tree: Directive) -> Faults:
    general = next((one for one in tree.inside if not one.words), Directive(()))
    logs = [one for one in general.inside if one.name == "log"]
    quiet = any(
        line.name == "exclude" and "http" in line.words[1:] for log in logs for line in log.inside
    )
    if not quiet:
        yield wrong(
            "proxy", f"an error that Caddy logs names who visited: no log {{ exclude http }} at "
            f"the head of {CADDYFILE}", _CADDY_MEND,
        )  # fmt: skip
    for one in general.all():
        if one.words[:1] == ("debug",):
            yield wrong("proxy", f"Caddy logs every visit: debug in {CADDYFILE}", _CADDY_MEND)
    if not any(one.words == ("admin", "off") for one in general.inside):
        yield wrong(
            "proxy", f"any program here can change Caddy's settings: no admin off in {CADDYFILE}",
            _CADDY_MEND,
        )  # fmt: skip
    for site in tree.inside:
        if site is not general:
            yield from _caddy_site(site)


def _caddy_site(site: Directive) -> Faults:
    for one in (site, *site.all()):
        if one.name in ("log", "log_append", "trace"):
            yield wrong(
                "proxy", f"Caddy keeps an access log: log under {site} in {CADDYFILE}", _CADDY_MEND
            )
        elif one.name in ("encode", "push", "cache"):
            yield wrong(
                "proxy", f"pages have no longer one length: {one} under {site} in {CADDYFILE}",
                _CADDY_MEND,
            )  # fmt: skip
        elif one.name == "import":
            yield note(
                "proxy", f"could not look at what is imported: {one} in {CADDYFILE}",
                "put the lines themselves there",
            )  # fmt: skip
    for one in site.all():
        if one.name == "reverse_proxy" and SOCKETS in str(one):
            removed = {line.words[1].lower() for line in one.inside if line.name == "header_up"
                       and line.words[1:]}  # fmt: skip
            if "-x-forwarded-for" not in removed:
                yield wrong(
                    "proxy", f"Caddy tells the server where a visitor comes from: no header_up "
                    f"-X-Forwarded-For in {CADDYFILE}", _CADDY_MEND,
                )  # fmt: skip


def _nginx(tree: Directive) -> Faults:
    http = next((one for one in tree.inside if one.name == "http"), Directive(()))
    if not any(one.words == ("access_log", "off") for one in http.inside):
        yield wrong("proxy", f"nginx keeps an access log: no access_log off in {NGINX}",
                    _NGINX_MEND)  # fmt: skip
    if not any(one.words[:2] == ("error_log", "/dev/null") for one in tree.inside):
        yield wrong(
            "proxy", f"nginx names visitors in its error log: no error_log /dev/null in {NGINX}",
            _NGINX_MEND,
        )  # fmt: skip
    for one in tree.all():
        kept = one.name == "access_log" and one.words[1:2] != ("off",)
        if kept or (one.name == "error_log" and one.words[1:2] != ("/dev/null",)):
            yield wrong("proxy", f"nginx keeps a log: {one}", _NGINX_MEND)
        elif (one.name in ("gzip", "brotli", "gunzip") and one.words[1:2] == ("on",)) or (
            one.name == "proxy_cache" and one.words[1:2] != ("off",)
        ):
            yield wrong("proxy", f"nginx keeps pages, or changes their length: {one}", _NGINX_MEND)
        elif one.name == "proxy_set_header" and "$remote_addr" in str(one):
            yield wrong("proxy", f"nginx tells where a visitor comes from: {one}", _NGINX_MEND)
        elif one.name == "client_body_in_file_only" and one.words[1:2] != ("off",):
            yield wrong("proxy", f"nginx keeps what is sent in files: {one}", _NGINX_MEND)
    for way in _ways(tree, {}):
        if way.get("proxy_request_buffering") != "off":
            yield wrong(
                "proxy", "nginx puts what is sent, readable, in files: no "
                f"proxy_request_buffering off in {NGINX}", _NGINX_MEND,
            )  # fmt: skip
        if way.get("proxy_buffering") != "off" and way.get("proxy_max_temp_file_size") != "0":
            yield wrong(
                "proxy", "nginx puts answers, readable, in files: no proxy_buffering off in "
                f"{NGINX}", _NGINX_MEND,
            )  # fmt: skip


def _ways(block: Directive, held: dict[str, str]) -> Iterator[dict[str, str]]:
    """What holds where something is passed on to the drop box."""
    here = held | {one.name: one.words[1] for one in block.inside if len(one.words) == 2}
    if any(one.name == "proxy_pass" and SOCKETS in str(one) for one in block.inside):
        yield here
    for one in block.inside:
        if one.inside:
            yield from _ways(one, here)
