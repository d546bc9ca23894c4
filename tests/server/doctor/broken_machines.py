"""Machines with one fault each: what was done to a sound one, and how doctor has to find it."""

import datetime
import sqlite3
from collections.abc import Callable
from contextlib import closing

from dropbox_app.server.backup import directory
from dropbox_app.server.doctor import checks
from tests.server.doctor import a_machine
from tests.server.doctor.a_machine import (
    BOX,
    CADDY,
    KEYS,
    NGINX,
    ONION,
    OWN_TOR,
    TORRC,
    UNIT,
    AMachine,
)
from tests.support.server_folder import DAY
from tests.vectors import world

DESKS = "f" * 55 + "a.onion"
DESKS_FILE = "etc/tor/torrc.d/klankbord-desks.conf"
ROOM = f"23 22 {a_machine.DISK} / /var/lib/klankbord rw - ext4 /dev/mapper/root rw\n"
BARE = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
SWAP = "/dev/sda3 partition 999 0 -2\n"


def database(made: AMachine, statement: str) -> None:
    with closing(sqlite3.connect(made.server / "klankbord.db", isolation_level=None)) as opened:
        opened.execute(statement)


def by_another(made: AMachine) -> None:
    """Somebody else than root may change the program."""
    made.path("opt/klankbord/releases/0.1.0-abc/bin/klankbord-server").chmod(0o777)


def renewed(made: AMachine, **changes: object) -> None:
    made.path("var/lib/klankbord/cards/anna.card").write_bytes(
        world.issue_card("anna", **changes)  # type: ignore[arg-type]  # any change
    )


def on_another_day(made: AMachine, days: int) -> None:
    made.day = DAY + datetime.timedelta(days)


def no_mail_for_a_week(made: AMachine) -> None:
    made.write("var/lib/klankbord-notify/last", f"{DAY - datetime.timedelta(7)}\n")


def a_later_report(made: AMachine) -> None:
    database(made, "UPDATE mailboxes SET last_added = '2026-03-13'")


def desks_without_a_key(made: AMachine) -> None:
    made.replace(
        "var/lib/klankbord/site.toml", "desk_origins = []", f'desk_origins = ["http://{DESKS}"]'
    )


def desks_without_their_file(made: AMachine) -> None:
    desks_without_a_key(made)
    a_machine.with_desks(made, "noor.auth")
    made.write("var/lib/tor/klankbord-desks/hostname", f"{DESKS}\n", 0o600)
    made.path(DESKS_FILE).unlink()


def desks_among_reporters(made: AMachine) -> None:
    a_machine.with_desks(made, "noor.auth")
    made.replace(DESKS_FILE, "desks.sock", "onion.sock")


def desks_kept_out(made: AMachine) -> None:
    a_machine.with_desks(made, "noor.auth")
    made.replace("etc/apparmor.d/local/system_tor", "desks.sock", "old.sock")


def telephone_of_nobody(made: AMachine) -> None:
    made.replace(
        "var/lib/klankbord/site.toml", "telephones = []",
        'telephones = [{ card = "nobody", phone = "010 1234567", hours = "ma-vr 9-17" }]',
    )  # fmt: skip


def nginx_without(line: str) -> Callable[[AMachine], None]:
    def broken(made: AMachine) -> None:
        a_machine.with_nginx(made)
        made.replace(NGINX, line, "")

    return broken


def nginx_with(old: str, new: str) -> Callable[[AMachine], None]:
    def broken(made: AMachine) -> None:
        a_machine.with_nginx(made)
        made.replace(NGINX, old, new)

    return broken


def swapped(made: AMachine, service: str) -> None:
    """One service whose memory may be swapped out."""
    made.write(f"etc/systemd/system/{service}.d/zz.conf", "[Service]\nMemorySwapMax=infinity\n")


def no_backups(made: AMachine) -> None:
    for path in (made.server / "backups").iterdir():
        path.unlink()
    made.dated("var/lib/klankbord/backup-key", DAY - datetime.timedelta(directory.SOON))


def never_fetched(made: AMachine) -> None:
    database(made, "UPDATE desks SET last_fetch = NULL")
    for card in ("anna", "bram"):
        made.dated(f"var/lib/klankbord/cards/{card}.card", DAY - datetime.timedelta(checks.FIRST))


def altered(made: AMachine) -> None:
    path = directory.kept(made.server / "backups")[0].path
    path.write_bytes(path.read_bytes() + b"x")


def other_files(made: AMachine) -> None:
    for path in (made.server / "files").iterdir():
        path.unlink()


def gone(made: AMachine) -> None:
    for path in (made.server / "cards").iterdir():
        path.unlink()
    made.write("var/lib/klankbord/retired", "x 2026-03-10\n", 0o600)


def steps(*all_of_them: Callable[[AMachine], object]) -> Callable[[AMachine], None]:
    def broken(made: AMachine) -> None:
        for step in all_of_them:
            step(made)

    return broken


Broken = tuple[str, Callable[[AMachine], object], str, str]

# What was done to it -> the check that finds it, how, and words of the fault and of the repair.
BROKEN: dict[str, Broken] = {
    "settings with an unknown key": (
        "settings", lambda m: m.replace("var/lib/klankbord/site.toml", "name =", "naam ="),
        "naam", "site.toml",
    ),
    "a page with HTML in it": (
        "settings", lambda m: m.write("var/lib/klankbord/content/nl/what.md", "<b>x</b>\n", 0o600),
        "what.md", "site check",
    ),
    "a database that others may read": (
        "access", lambda m: (m.server / "klankbord.db").chmod(0o644), "klankbord.db", "chmod -R",
    ),
    "a large file that others may read": (
        "access", lambda m: next((m.server / "files").iterdir()).chmod(0o640), "files/", "chmod -R",
    ),
    "a damaged database": (
        "database", lambda m: (m.server / "klankbord.db").write_bytes(b"no database" * 999),
        "damaged", "Backups",
    ),
    "a database that is gone": (
        "database", lambda m: (m.server / "klankbord.db").unlink(), "missing", "Backups",
    ),
    "a database of a newer version": (
        "database", lambda m: database(
            m, "INSERT INTO _sqlite_migrations VALUES (99, 'klankbord', 'm999_next', '2026-01-01')"
        ), "m999_next", "Backups",
    ),
    "a message whose sealed file is gone": (
        "database", lambda m: database(m, "DELETE FROM sealed"), "sealed files", "Backups",
    ),
    "a large file that is gone": ("large files", other_files, "1 missing", "Backups"),
    "a damaged list of withdrawals": (
        "withdrawn list", lambda m: (m.server / "withdrawn").write_text("x\n"), "damaged",
        "Backups",
    ),
    "a site that is full": (
        "room", lambda m: m.replace(
            "var/lib/klankbord/site.toml", "site_bytes = 10737418240", "site_bytes = 1048576"
        ), "bytes are taken", "limits.site_bytes",
    ),
    "a disk that is full": (
        "free disk", lambda m: m.replace(
            "var/lib/klankbord/site.toml", "free_bytes = 1", "free_bytes = 9000000000000000"
        ), "are free", "make room",
    ),
    "a clock that is behind what is stored": (
        "clock", a_later_report, "something here is of", "timedatectl",
    ),
    "a site whose counsellors have all gone": (
        "counsellors", gone, "nobody can be written to", "card add",
    ),
    "a card that is broken": (
        "cards", lambda m: m.write("var/lib/klankbord/cards/noor.card", "x", 0o600), "noor",
        "card retire noor",
    ),
    "a card whose keys run out": (
        "cards", lambda m: renewed(m, day=datetime.date(2025, 12, 20)), "anna: its keys end on",
        "desk fetch",
    ),
    "a desk that never fetched": (
        "desks", never_fetched, "the desk of anna has never fetched", "fetch",
    ),
    "a desk that fetches no more": (
        "desks", lambda m: database(m, "UPDATE desks SET last_fetch = '2026-02-01'"),
        "not fetched since 2026-02-01", "ask the counsellor",
    ),
    "a telephone of somebody who has no card": (
        "settings", telephone_of_nobody, "no card called nobody", "site.toml",
    ),
    "a site with a name that is none": (
        "sites", lambda m: (m.server / "sites/A B").mkdir(0o700, parents=True), "A B",
        "another name",
    ),
    "no backup, with a key for it": (
        "backups", no_backups,
        "there is none", "run backup",
    ),
    "a backup that was altered": (
        "backup files", altered,
        "not what was written", "run backup",
    ),
    "mails that stay": (
        "daily mail", no_mail_for_a_week,
        "the last day on which every one went out is", "klankbord-notify --try",
    ),
    "the secret key of the backups in the server's folder": (
        "secrets", lambda m: m.write(
            "var/lib/klankbord/backup-key.txt", "AGE-SECRET-KEY-1QQQQQQQQQQQQQ\n", 0o600
        ), "/var/lib/klankbord/backup-key.txt", "shred -u",
    ),
    "a copy of the onion's key with the operator": (
        "secrets", lambda m: m.write("srv/key", "== ed25519v1-secret: type0 ==\0\0\0abc", 0o600),
        "/srv/key", "shred -u /srv/key",
    ),
    "a secret key in a home that is kept in git": (
        "secrets", steps(
            lambda m: m.write("root/.git/config", ""),
            lambda m: m.write("root/notes/key.txt", "AGE-SECRET-KEY-PQ-1QQQQQQQQQQQQQ\n"),
        ), "notes/key.txt", "shred -u",
    ),
    "a counsellor's desk on the server": (
        "secrets", lambda m: m.write("home/els/desk/vault.age", "x", 0o600), "desk", "shred -u",
    ),
    "swap on a bare disk that Tor's memory may go to": (
        "swap", steps(
            lambda m: m.write("proc/swaps", "Filename Type Size Used Priority\n" + SWAP),
            lambda m: swapped(m, "tor@default.service"),
        ), "tor@default.service", "swapoff -a",
    ),
    "swap in /etc/fstab that Caddy's memory may go to": (
        "swap", steps(
            lambda m: m.add("etc/fstab", "/swapfile none swap sw 0 0\n"),
            lambda m: m.write("proc/self/mountinfo", BARE + ROOM),
            lambda m: m.path("sys/dev/block/8:1").mkdir(),
            lambda m: swapped(m, "caddy.service"),
        ), "/swapfile", "/etc/fstab",
    ),
    "a program that collects core dumps": (
        "core dumps", lambda m: m.write("proc/sys/kernel/core_pattern", "|/usr/share/apport x\n"),
        "/usr/share/apport", "/etc/sysctl.d/",
    ),
    "core dumps of Tor that systemd collects": (
        "core dumps", steps(
            lambda m: m.write("proc/sys/kernel/core_pattern", "|/lib/systemd/systemd-coredump %P"),
            lambda m: m.write(
                "etc/systemd/system/tor@default.service.d/zz.conf", "[Service]\nLimitCORE=\n"
            ),
        ), "tor@default.service", "systemctl edit tor@default.service",
    ),
    "core dumps of Caddy allowed": (
        "core dumps", lambda m: m.write(
            "etc/systemd/system/caddy.service.d/zz.conf", "[Service]\nLimitCORE=infinity\n"
        ), "caddy.service", "LimitCORE=0",
    ),
    "core dumps of every service allowed": (
        "core dumps", lambda m: m.write("etc/systemd/system.conf", "DefaultLimitCORE=infinity\n"),
        "DefaultLimitCORE", "/etc/systemd/system.conf",
    ),
    "a service with a network": (
        "service", lambda m: m.replace(UNIT, "PrivateNetwork=yes", "PrivateNetwork=no"),
        "PrivateNetwork=no", "deploy/install",
    ),
    "a line added to the service that lets it write anywhere": (
        "service", lambda m: m.write(
            "etc/systemd/system/klankbord.service.d/more.conf", "[Service]\nProtectSystem=no\n"
        ), "more.conf", "deploy/install",
    ),
    "a service that runs as root": (
        "service", lambda m: m.replace(UNIT, "User=klankbord", "User=root"), "User=root",
        "systemctl restart klankbord",
    ),
    "a service that writes what it says to a file": (
        "service", lambda m: m.replace(
            UNIT, "UMask=0077", "UMask=0077\nStandardError=append:/var/log/box"
        ), "append:/var/log/box", "take that line out",
    ),
    "a service that does not start by itself": (
        "service", lambda m: m.path(
            "etc/systemd/system/multi-user.target.wants/klankbord.service"
        ).unlink(), "does not start", "systemctl enable",
    ),
    "a program that others may change": (
        "program", by_another, "bin/klankbord-server", "chown -R root:root",
    ),
    "a program that was not installed whole": (
        "program", lambda m: m.path("opt/klankbord/releases/0.1.0-abc/klankbord-whole").unlink(),
        "not installed whole", "deploy/install",
    ),
    "an account that one can log in to": (
        "account", steps(
            lambda m: m.replace("etc/passwd", "/usr/sbin/nologin", "/bin/bash"),
            lambda m: m.dated("etc/passwd", DAY),
        ), "/bin/bash", "usermod --shell",
    ),
    "somebody else in the group of the socket": (
        "account", lambda m: m.replace("etc/group", "debian-tor,caddy", "debian-tor,caddy,piet"),
        "piet", "gpasswd --delete piet",
    ),
    "a server that does not run": (
        "socket", lambda m: m.path("run/klankbord/box.sock").unlink(), "does not run",
        "systemctl status klankbord",
    ),
    "a socket that everybody may use": (
        "socket", steps(
            lambda m: m.path("run/klankbord").chmod(0o755),
            lambda m: m.path("run/klankbord/box.sock").chmod(0o666),
        ), "every account", "0750",
    ),
    "a Tor that logs notices": (
        "tor", lambda m: m.replace(OWN_TOR, "Log warn", "Log notice"), "Log notice", "Log warn",
    ),
    "a Tor with Debian's own log": (
        "tor", lambda m: m.replace(OWN_TOR, "Log warn syslog", ""), "Log notice syslog", OWN_TOR,
    ),
    "a Tor that counts visits each six hours": (
        "tor", lambda m: m.replace(OWN_TOR, "HeartbeatPeriod 0", ""), "count visits",
        "HeartbeatPeriod 0",
    ),
    "a Tor that names addresses in its log": (
        "tor", lambda m: m.add(TORRC, "SafeLogging 0\n"), "SafeLogging 0", "SafeLogging 1",
    ),
    "a Tor that hides the machine no more": (
        "tor", lambda m: m.add(
            TORRC, "HiddenServiceNonAnonymousMode 1\n"
        ), "HiddenServiceNonAnonymousMode", "/etc/tor/torrc",
    ),
    "a Tor with a port to control it": (
        "tor", lambda m: m.add(TORRC, "ControlPort 9051\n"), "ControlPort 9051", "/etc/tor/torrc",
    ),
    "a Tor that is a relay too": (
        "tor", lambda m: m.add(TORRC, "ORPort 9001\n"), "ORPort", "/etc/tor/torrc",
    ),
    "an onion address without proof of work": (
        "tor", lambda m: m.replace(BOX, "HiddenServicePoWDefensesEnabled 1", ""),
        "HiddenServicePoWDefensesEnabled", BOX,
    ),
    "an onion address without a bound on streams": (
        "tor", lambda m: m.replace(BOX, "HiddenServiceMaxStreams 32", ""),
        "HiddenServiceMaxStreams", BOX,
    ),
    "an address for desks that everybody may come to": (
        "tor", lambda m: a_machine.with_desks(m, "nobody.auth.old"), "klankbord-desks",
        "HiddenServicePoWDefensesEnabled",
    ),
    "an onion address that leads nowhere": (
        "tor", lambda m: m.replace(BOX, "unix:/run/klankbord/", "unix:/run/klankbord/old-"),
        "does not make", BOX,
    ),
    "a Tor without its files": (
        "tor", lambda m: m.write(TORRC, "SocksPort 0\n"), "HiddenServicePort", "deploy/install",
    ),
    "an AppArmor that keeps Tor out": (
        "tor", lambda m: m.write("etc/apparmor.d/local/system_tor", ""), "AppArmor",
        "/etc/apparmor.d/local/system_tor",
    ),
    "an onion key that others may read": (
        "onion", lambda m: m.path(KEYS).chmod(0o755), "open to other accounts", "chmod -R go=",
    ),
    "an onion key that is gone": (
        "onion", lambda m: m.path(f"{KEYS}/hs_ed25519_secret_key").unlink(),
        "hs_ed25519_secret_key", "sealed copy",
    ),
    "an onion key of another address": (
        "onion", lambda m: m.write(f"{KEYS}/hostname", "c" * 56 + ".onion\n", 0o600), ONION, "move",
    ),
    "a key that is gone of an address for desks alone": (
        "onion", desks_without_a_key, DESKS, "put the key of that address back",
    ),
    "an address whose key is there, and that Tor does not serve": (
        "onion", desks_without_their_file, DESKS,
        "deploy/install makes Tor serve it again: its key lies in /var/lib/tor/klankbord-desks",
    ),
    "an address for desks that leads where reporters come in": (
        "tor", desks_among_reporters, "where it is not answered", "klankbord-desks.conf",
    ),
    "an AppArmor that keeps Tor from the socket for desks": (
        "tor", desks_kept_out, "desks.sock", "/etc/apparmor.d/local/system_tor",
    ),
    "a Caddy with an access log": (
        "proxy", lambda m: m.replace(CADDY, "\theader {", "\tlog\n\theader {"), "access log",
        "deploy/caddy/Caddyfile",
    ),
    "a Caddy that logs errors with addresses": (
        "proxy", lambda m: m.replace(CADDY, "\t\texclude http\n", ""), "exclude http",
        "systemctl restart caddy",
    ),
    "a Caddy that compresses": (
        "proxy", lambda m: m.replace(CADDY, "\theader {", "\tencode gzip\n\theader {"),
        "encode gzip", CADDY.rpartition("/")[2],
    ),
    "a Caddy that tells who visits": (
        "proxy", lambda m: m.replace(CADDY, "\t\theader_up -X-Forwarded-For\n", ""),
        "X-Forwarded-For", "deploy/caddy",
    ),
    "a Caddy that can be changed from aside": (
        "proxy", lambda m: m.replace(CADDY, "\tadmin off\n", ""), "admin off", "deploy/caddy",
    ),
    "an nginx with an access log": (
        "proxy", nginx_without("access_log off;"), "access log", "deploy/nginx/nginx.conf",
    ),
    "an nginx with an access log of one site": (
        "proxy", nginx_with("location / {\n\t\t\tproxy_pass", "location / {\n\t\t\taccess_log "
                            "/var/log/nginx/a.log;\n\t\t\tproxy_pass"), "/var/log/nginx/a.log",
        "deploy/nginx",
    ),
    "an nginx with an error log": (
        "proxy", nginx_with("error_log /dev/null emerg", "error_log /var/log/nginx/error.log"),
        "error log", "systemctl reload nginx",
    ),
    "an nginx that spools what is sent": (
        "proxy", nginx_without("proxy_request_buffering off;"), "proxy_request_buffering",
        "deploy/nginx",
    ),
    "an nginx that compresses": (
        "proxy", nginx_with("gzip off", "gzip on"), "gzip on", "deploy/nginx",
    ),
    "an nginx that tells who visits": (
        "proxy", nginx_with("proxy_http_version 1.1;",
                            "proxy_set_header X-Real-IP $remote_addr;"), "X-Real-IP",
        "deploy/nginx",
    ),
    "a journal that stays on the disk": (
        "logs", lambda m: m.write(
            "etc/systemd/journald.conf.d/zz.conf", "[Journal]\nStorage=persistent\n"
        ), "Storage=persistent", "Storage=volatile",
    ),
    "a journal that is sent elsewhere": (
        "logs", lambda m: m.write(
            "etc/systemd/journal-upload.conf", "[Upload]\nURL=http://log.example\n"
        ), "another machine", "/etc/systemd/journal-upload.conf",
    ),
    "a syslog that is sent elsewhere": (
        "logs", lambda m: m.write("etc/rsyslog.d/all.conf", "*.* @@log.example:514\n"),
        "@@log.example", "/etc/rsyslog.d/all.conf",
    ),
    "an access log from before": (
        "logs", lambda m: m.write("var/log/nginx/access.log", "192.0.2.1 - - [10/Mar/2026]\n"),
        "/var/log/nginx/access.log", "shred -u",
    ),
    "a clock that is behind the last installation": (
        "machine clock", lambda m: m.dated("var/lib/dpkg/status", DAY + datetime.timedelta(9)),
        "was written on", "timedatectl",
    ),
    "a Debian that is no longer mended": (
        "system", lambda m: m.replace("etc/os-release", '"12"', '"11"'), "Debian 11",
        "newer Debian",
    ),
    "updates that nobody looks for": (
        "system", lambda m: m.dated("var/lib/apt/lists", DAY - datetime.timedelta(40)),
        "since 2026-01-29", "unattended-upgrades",
    ),
    "a restart that waits": (
        "system", lambda m: m.write("run/reboot-required", ""), "restart", "systemctl reboot",
    ),
    "a Tor that is too old": (
        "versions", steps(
            lambda m: m.replace("var/lib/dpkg/status", "0.4.9.11-1", "0.4.7.16-1"),
            lambda m: m.dated("var/lib/dpkg/status", DAY),
        ), "0.4.7.16-1", "apt-get install tor",
    ),
}  # fmt: skip
