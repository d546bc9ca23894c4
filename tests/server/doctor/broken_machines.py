"""Machines with one fault each: the change to a sound one, and doctor's expected finding."""

import datetime
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing

from dropbox_app.server.backup import directory
from dropbox_app.server.config import check
from tests.server.doctor import a_machine
from tests.server.doctor.a_machine import (
    ANSWERS,
    DOMAIN,
    KEYS,
    NGINX,
    NGINX_UNIT,
    ONION,
    TOR,
    TOR_UNIT,
    UNIT,
    AMachine,
)
from tests.support.server_folder import DAY
from tests.vectors import world

DESKS = "f" * 55 + "a.onion"


TOR_REFUSES = """#!/bin/sh
echo "Nov 28 22:22:18.431 [warn] Failed to parse/validate config: Unknown option 'X'.  Failing."
exit 1
"""


def database(made: AMachine, statement: str) -> None:
    with closing(sqlite3.connect(made.server / "klankbord.db", isolation_level=None)) as opened:
        opened.execute(statement)


def by_another(made: AMachine) -> None:
    """Let an account other than root change the program."""
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
    before = made.path(TOR).read_text()
    a_machine.with_desks(made, "noor.auth")
    made.write("var/lib/tor/klankbord-desks/hostname", f"{DESKS}\n", 0o600)
    made.write(TOR, before)


def desks_among_reporters(made: AMachine) -> None:
    a_machine.with_desks(made, "noor.auth")
    made.replace(TOR, "desks.sock", "onion.sock")


def desks_kept_out(made: AMachine) -> None:
    a_machine.with_desks(made, "noor.auth")
    made.replace("etc/apparmor.d/local/system_tor", "desks.sock", "old.sock")


def telephone_of_nobody(made: AMachine) -> None:
    made.replace(
        "var/lib/klankbord/site.toml", "telephones = []",
        'telephones = [{ card = "nobody", phone = "010 1234567", hours = "ma-vr 9-17" }]',
    )  # fmt: skip


def swaps_to_a_bare_disk(made: AMachine) -> None:
    made.write(f"{ANSWERS}/swapon", "/dev/sda3\n")
    made.link(f"{ANSWERS}/lsblk-sda3", "lsblk-bare")


def swaps_later_to_a_file_on_a_bare_disk(made: AMachine) -> None:
    made.write(f"{ANSWERS}/fstab", '{"filesystems": [{"source": "/swapfile"}]}')
    made.write(f"{ANSWERS}/findmnt", '{"filesystems": [{"source": "/dev/sda3"}]}')
    made.link(f"{ANSWERS}/lsblk-sda3", "lsblk-bare")


def nginx(old: str, new: str) -> Callable[[AMachine], None]:
    return lambda made: made.replace(NGINX, old, new)


def unit(old: str, new: str) -> Callable[[AMachine], None]:
    return lambda made: made.replace(UNIT, old, new)


def used(name: str) -> Callable[[AMachine], None]:
    """Return a change that makes another unit run and start at boot."""
    return lambda made: made.write(
        f"{ANSWERS}/units/{name}",
        f"Id={name}\nLoadState=loaded\nActiveState=active\nUnitFileState=enabled\n",
    )


def no_backups(made: AMachine) -> None:
    for path in (made.server / "backups").iterdir():
        path.unlink()
    made.dated("var/lib/klankbord/backup-key", DAY - datetime.timedelta(directory.SOON))


def never_fetched(made: AMachine) -> None:
    database(made, "UPDATE desks SET last_fetch = NULL")
    for card in ("anna", "bram"):
        made.dated(f"var/lib/klankbord/cards/{card}.card", DAY - datetime.timedelta(check.FIRST))


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

# Fault -> the checks that find it, the change that causes it, and words from the finding and the
# repair.
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
        "clock", a_later_report, "something here is dated", "timedatectl",
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
    "a secret key that PowerShell wrote, in UTF-16": (
        "secrets", lambda m: m.write(
            "srv/backup-key.txt", "AGE-SECRET-KEY-PQ-1QQQQQQQQQQQQQ\n", 0o600, "utf-16"
        ), "/srv/backup-key.txt", "shred -u",
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
    "a counsellor's desk deep in a temporary folder": (
        "secrets", lambda m: m.write("var/tmp/a/b/c/d/vault.age", "x", 0o600), "a/b/c/d/vault.age",
        "shred -u",
    ),
    "swap on a bare disk that Tor's memory may go to": (
        "swap", steps(
            swaps_to_a_bare_disk,
            lambda m: m.replace(TOR_UNIT, "MemorySwapMax=0", "MemorySwapMax=infinity"),
        ), "tor@default.service", "swapoff -a",
    ),
    "swap in /etc/fstab that nginx's memory may go to": (
        "swap proxy", steps(
            swaps_later_to_a_file_on_a_bare_disk,
            lambda m: m.replace(NGINX_UNIT, "MemorySwapMax=0", "MemorySwapMax=infinity"),
        ), "/swapfile", "/etc/fstab",
    ),
    "a program that collects core dumps": (
        "core dumps", lambda m: m.write("proc/sys/kernel/core_pattern", "|/usr/share/apport x\n"),
        "/usr/share/apport", "/etc/sysctl.d/",
    ),
    "core dumps of Tor allowed": (
        "core dumps", lambda m: m.replace(TOR_UNIT, "LimitCORE=0", "LimitCORE=infinity"),
        "tor@default.service", "systemctl edit tor@default.service",
    ),
    **{
        f"a service with {new or 'no rights of its own'}": (
            "service", unit(old, new), new,
            "systemctl restart klankbord",
        )
        for old, new in (
            ("PrivateNetwork=yes", "PrivateNetwork=no"),
            ("ProtectSystem=strict", "ProtectSystem=full"),
            ("User=klankbord", "User=root"),
            ("CapabilityBoundingSet=", "CapabilityBoundingSet=cap_sys_admin"),
            ("MemorySwapMax=0", "MemorySwapMax=infinity"),
            ("RestrictAddressFamilies=AF_UNIX", "RestrictAddressFamilies=~"),
        )
    },
    "a service that serves on a port": (
        "service", lambda m: m.replace(UNIT, "--bind unix:", "--bind "), "on a port",
        "deploy/install",
    ),
    "a service that writes what it says to a file": (
        "service", lambda m: m.replace(UNIT, "StandardError=inherit", "StandardError=append"),
        "StandardError=append", "take that line out",
    ),
    "a service that does not start by itself": (
        "service", lambda m: m.replace(UNIT, "UnitFileState=enabled", "UnitFileState=disabled"),
        "does not start", "systemctl enable",
    ),
    "a program that others may change": (
        "program", by_another, "bin/klankbord-server", "chown -R root:root",
    ),
    "a program that was not installed whole": (
        "program", lambda m: m.path("opt/klankbord/releases/0.1.0-abc/klankbord-whole").unlink(),
        "not installed whole", "deploy/install",
    ),
    "an upgrade that lost its power": (
        "program", lambda m: m.write("opt/klankbord/upgrade.json", "{}"), "broken off",
        "upgrade RELEASE",
    ),
    "an account that one can log in to": (
        "account", lambda m: m.replace(f"{ANSWERS}/getent-passwd", "/usr/sbin/nologin", "/bin/sh"),
        "/bin/sh", "usermod --shell",
    ),
    "somebody else in the group of the server": (
        "account", lambda m: m.replace(f"{ANSWERS}/getent-group", "x:990:", "x:990:piet"),
        "piet", "gpasswd --delete piet klankbord",
    ),
    "Tor in the group of nginx": (
        "account", lambda m: m.replace(
            f"{ANSWERS}/getent-group", ":\nklankbord-tor", ":debian-tor\nklankbord-tor"
        ), "debian-tor", "gpasswd --delete debian-tor klankbord-nginx",
    ),
    "a server that does not run": (
        "socket", lambda m: m.path("run/klankbord/app.sock").unlink(), "does not run",
        "systemctl status klankbord",
    ),
    "a socket that everybody may use": (
        "socket", lambda m: m.path("run/klankbord").chmod(0o755), "mode 0755", "0750",
    ),
    "a socket that is another group's": (
        "socket", lambda m: m.replace(
            f"{ANSWERS}/getent-group", "klankbord-nginx:x:", "klankbord-nginx:x:77"
        ), "others than nginx", "klankbord-nginx",
    ),
    **({
        "a Tor that does not take its settings": (
            "tor", lambda m: m.write("usr/bin/tor", TOR_REFUSES, 0o755), "Unknown option",
            "tor --verify-config",
        ),
    } if os.geteuid() == 0 else {}),  # Tor lets nobody else look
    "a Tor that logs notices": (
        "tor", lambda m: m.replace(TOR, "Log warn", "Log notice"), "Log notice", "Log warn",
    ),
    "a Tor with its own log": (
        "tor", lambda m: m.replace(TOR, "Log warn syslog\n", ""), "Log notice stdout",
        "/etc/tor/torrc.d/klankbord.conf",
    ),
    "a Tor that counts visits each six hours": (
        "tor", lambda m: m.replace(TOR, "HeartbeatPeriod 0\n", ""), "count visits",
        "HeartbeatPeriod 0",
    ),
    "a Tor that names addresses in its log": (
        "tor", lambda m: m.add(TOR, "SafeLogging 0\n"), "SafeLogging 0", "SafeLogging 1",
    ),
    "a Tor that hides the machine no more": (
        "tor", lambda m: m.add(
            TOR, "HiddenServiceNonAnonymousMode 1\n"
        ), "HiddenServiceNonAnonymousMode", "/etc/tor/torrc",
    ),
    "a Tor with a port to control it": (
        "tor", lambda m: m.add(TOR, "ControlPort 9051\n"), "ControlPort 9051", "/etc/tor/torrc",
    ),
    "a Tor that is a relay too": (
        "tor", lambda m: m.add(TOR, "ORPort 9001\n"), "ORPort", "/etc/tor/torrc",
    ),
    "a Tor that does not run": (
        "tor", lambda m: m.replace(TOR_UNIT, "ActiveState=active", "ActiveState=failed"),
        "does not run", "systemctl status tor@default.service",
    ),
    "an onion address without proof of work": (
        "tor", lambda m: m.replace(TOR, "HiddenServicePoWDefensesEnabled 1\n", ""),
        "HiddenServicePoWDefensesEnabled", "deploy/install",
    ),
    "an onion address without a bound on streams": (
        "tor", lambda m: m.replace(TOR, "HiddenServiceMaxStreams 32\n", ""),
        "HiddenServiceMaxStreams", "deploy/install",
    ),
    "an onion address whose circuits are not told apart": (
        "tor", lambda m: m.replace(TOR, "HiddenServiceExportCircuitID haproxy\n", ""),
        "number of the circuit", "HiddenServiceExportCircuitID haproxy",
    ),
    "an address for desks that everybody may come to": (
        "tor", lambda m: a_machine.with_desks(m, "nobody.auth.old"), "klankbord-desks",
        "HiddenServicePoWDefensesEnabled",
    ),
    "an onion address that leads past nginx": (
        "tor", lambda m: m.replace(TOR, "klankbord-nginx/", "klankbord/"),
        "where it is not answered", "klankbord-box",
    ),
    "a Tor without its files": (
        "tor", lambda m: m.write(TOR, "SocksPort 0\n"), "HiddenServicePort", "deploy/install",
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
    "Debian's own nginx beside it": (
        "proxy", used("nginx.service"), "port 80", "systemctl disable --now nginx",
    ),
    "an nginx that does not run": (
        "proxy", lambda m: m.replace(NGINX_UNIT, "ActiveState=active", "ActiveState=failed"),
        "does not run", "systemctl status klankbord-nginx.service",
    ),
    "an nginx with other settings": (
        "proxy", lambda m: m.replace(NGINX_UNIT, "/etc/klankbord/nginx/", "/etc/nginx/"),
        "other settings", "deploy/install",
    ),
    "an nginx that runs as root": (
        "proxy", lambda m: m.replace(NGINX_UNIT, "User=klankbord-nginx", "User="),
        "another account", "deploy/install",
    ),
    "an nginx that may write what is sent to a disk": (
        "proxy", lambda m: m.replace(
            NGINX_UNIT, "ReadWritePaths=", "ReadWritePaths=/var/lib/nginx"
        ), "readable, in files", "ReadOnlyPaths=/var/lib/nginx",
    ),
    **{
        f"an nginx with {new or 'no ' + old}": (
            "proxy", nginx(old, new), said, "deploy/install",
        )
        for old, new, said in (
            ("access_log off;", "", "default log"),
            ("location / {", "location / { access_log /var/log/a;", "/var/log/a"),
            ("error_log stderr emerg", "error_log stderr error", "error log"),
            ("error_log stderr emerg;", "", "default log"),
            ("gzip off", "gzip on", "gzip on"),
            ("server_tokens off;", "proxy_cache pages;", "proxy_cache"),
            ('X-Forwarded-For ""', "X-Real-IP $remote_addr", "X-Real-IP"),
            ("server unix:/run/klankbord/", "server 127.0.0.1:8000 #", "something else"),
            ("file /etc/klankbord/nginx/onion", "file /etc/nginx/sites-enabled/default",
             "sites-enabled/default"),
        )
    },
    "a certificate that ends": (
        "certificate", lambda m: m.replace(f"{ANSWERS}/openssl", "2026-05-20", "2026-03-12"),
        "ends on 2026-03-12", "certbot renew",
    ),
    "a domain without a certificate": (
        "certificate", nginx("ssl_certificate /", "# /"), f"https address ({DOMAIN})",
        "deploy/install",
    ),
    "a journal that stays on the disk": (
        "logs", lambda m: m.add(f"{ANSWERS}/journald.conf", "[Journal]\nStorage=persistent\n"),
        "Storage=persistent", "Storage=volatile",
    ),
    "a journal that is sent elsewhere": (
        "logs", used("systemd-journal-upload.service"), "another machine", "systemctl disable",
    ),
    "a syslog beside the journal": (
        "logs", used("rsyslog.service"), "rsyslog.service", "apt-get purge",
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
        "versions", lambda m: m.replace(f"{ANSWERS}/dpkg-query", "0.4.9.11-1", "0.4.7.16-1"),
        "0.4.7.16-1", "apt-get install tor",
    ),
}  # fmt: skip
