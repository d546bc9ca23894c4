"""A domain with HTTPS for the server, besides its onion addresses. Part of ``deploy/install``.

certbot obtains the certificate and renews it, with Debian's own timer. If Caddy was in front of the
server, its certificate is used until certbot has one.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

from installer import nginx
from installer.machine import UNITS, Machine, account_is_there, say, settings

PACKAGES = ("certbot", "openssl")
NAME = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+")
LINEAGE = "klankbord"  # certbot's name for the certificate
RENEWED = Path("/etc/letsencrypt/live") / LINEAGE
ANSWERS = Path("/var/lib/klankbord-acme")  # for the challenges of the certificate authority
TAKE = Path("/etc/klankbord/take-certificate")
CERTIFICATE = nginx.SETTINGS / "tls" / "certificate.pem"
WAY = nginx.SETTINGS / "ways" / "domain.conf"
OPEN = nginx.UNIT.with_name(f"{nginx.UNIT.name}.d") / "domain.conf"
CADDYFILE = Path("/etc/caddy/Caddyfile")
CADDY_BEFORE = CADDYFILE.with_name("Caddyfile.before-klankbord")
CADDY_DROP_IN = UNITS / "caddy.service.d" / "klankbord.conf"
CADDY_FILES = Path("/var/lib/caddy/.local/share/caddy/certificates")
# Run as the account that owns a file and without root's rights, because that account may have put a
# link there.
AS_CADDY = ("env", "-i", "setsid", "--wait", "/usr/sbin/runuser", "-u", "caddy", "--")
PEM = re.compile(r"-----BEGIN ([A-Z ]+)-----\n[A-Za-z0-9+/=\n]+-----END \1-----\n")
LARGEST = 65_536  # maximum bytes of a file with certificates


def there() -> str | None:
    """Return this machine's current domain, from the settings of nginx or Caddy."""
    if WAY.is_file():
        found = re.search(r"https://([a-z0-9.-]+)\$request_uri", WAY.read_text("utf-8"))
        return found[1] if found else None
    if caddy_is_ours():
        found = re.search(r"^([a-z0-9.-]+) \{$", CADDYFILE.read_text("utf-8"), re.MULTILINE)
        return found[1] if found and NAME.fullmatch(found[1]) else None
    return None


def caddy_is_ours() -> bool:
    """Return whether an earlier version of the installer set up Caddy here."""
    return CADDYFILE.is_file() and "/run/klankbord/" in CADDYFILE.read_text("utf-8")


def prepare(machine: Machine, name: str, onion: str) -> bool:
    """Write nginx's settings for a domain. Returns whether they changed.

    nginx does not start without a certificate. Until certbot has one, nginx uses Caddy's or a
    self-signed one, which is removed if certbot fails to obtain one.
    """
    say(f"HTTPS for https://{name}")
    machine.run("install", "-d", "-m", "755", ANSWERS)
    machine.run("install", "-d", "-m", "750", "-g", nginx.ACCOUNT, CERTIFICATE.parent)
    changed = machine.ship(TAKE, 0o755)
    filled = settings(
        f"{str(WAY).lstrip('/')}{nginx.TEMPLATE}", domain=name, onion=onion,
        certificate=str(CERTIFICATE), certificate_key=str(CERTIFICATE),
    )  # fmt: skip
    changed |= machine.write(WAY, filled)
    changed |= machine.ship(OPEN)
    caddys = of_caddy(machine, name) if caddy_is_ours() and not CERTIFICATE.is_file() else None
    if caddys:
        say("  the certificate that Caddy got is used until certbot has one")
        put(machine, caddys)
    elif not CERTIFICATE.is_file() and not machine.dry:
        put(machine, made_here(machine, name))
    return changed


def put(machine: Machine, pem: str) -> None:
    """Write a certificate and its key, readable by nginx only, in one step."""
    machine.write(CERTIFICATE, pem, 0o640)
    machine.run("chown", f"root:{nginx.ACCOUNT}", CERTIFICATE)


def made_here(machine: Machine, name: str) -> str:
    """Return a self-signed certificate and its key, with which nginx can start."""
    return machine.run(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"),
        *("-nodes", "-days", "1", "-subj", f"/CN={name}", "-keyout", "-", "-out", "-"),
    )


def of_caddy(machine: Machine, name: str) -> str | None:
    """Return Caddy's key and certificate for a name, if both are valid for two more days."""
    if machine.dry or not account_is_there("caddy"):
        return None
    for kind in ("*/", ""):  # folders by issuer
        path = CADDY_FILES / f"{kind}{name}" / name
        script = f"head -c {LARGEST} -- {path}.key && head -c {LARGEST} -- {path}.crt"
        done = subprocess.run(
            [*AS_CADDY, "sh", "-c", script], capture_output=True, text=True, check=False
        )
        if done.returncode == 0 and fits(done.stdout, name):
            return done.stdout
    return None


def fits(pem: str, name: str) -> bool:
    """Return whether this is a key with its certificates, valid for the name for two more days."""
    blocks = [found[0] for found in PEM.finditer(pem)]
    if "".join(blocks) != pem.replace("\n\n", "\n") or len(blocks) < 2:
        return False

    def openssl(*words: str, given: str) -> str | None:
        done = subprocess.run(
            ["openssl", *words], input=given, capture_output=True, text=True, check=False
        )
        return done.stdout if done.returncode == 0 else None

    certificate = "".join(blocks[1:])
    named = openssl("x509", "-noout", "-checkhost", name, given=certificate)
    public = openssl("x509", "-noout", "-pubkey", given=certificate)
    return bool(
        named
        and "does match" in named
        and openssl("x509", "-noout", "-checkend", "172800", given=certificate)
        and public
        and public == openssl("pkey", "-pubout", given=blocks[0])
    )


def caddy_ends(machine: Machine) -> None:
    """Remove an earlier version's Caddy settings, and restore those that it replaced."""
    if not caddy_is_ours():
        return
    say("Caddy is not used any more")
    machine.service("disable", "--now", "caddy")
    machine.remove(CADDYFILE, CADDY_DROP_IN)
    machine.remove_empty(CADDY_DROP_IN.parent)
    if CADDY_BEFORE.is_file():
        machine.write(CADDYFILE, CADDY_BEFORE.read_text("utf-8"))
        machine.remove(CADDY_BEFORE)
    machine.service("daemon-reload")


def certify(machine: Machine, name: str) -> str:
    """Get a certificate, or keep the one that certbot has. Returns the reason if there is none.

    nginx is already running, and responds to the certificate authority's challenges.
    """
    say("A certificate from Let's Encrypt; by asking for it you agree to its terms of service")
    if not (machine.systemd or machine.dry):
        say("  (systemd does not run here, so nginx does not, and none is asked for)")
        return ""
    asking = (
        *("certbot", "certonly", "--non-interactive", "--agree-tos"),
        *("--register-unsafely-without-email", "--keep-until-expiring", "--renew-with-new-domains"),
        *("--webroot", "--webroot-path", ANSWERS, "--cert-name", LINEAGE, "--domain", name),
        *("--deploy-hook", TAKE),
    )
    if not machine.try_to_run(*asking):
        return _without(machine, name)
    machine.service("enable", "--now", "certbot.timer")
    machine.run("env", f"RENEWED_LINEAGE={RENEWED}", TAKE)
    return ""


def _without(machine: Machine, name: str) -> str:
    """Handle a missing certificate: keep Caddy's if there is one, otherwise close the domain."""
    why = "does the name lead to this machine, and does port 80 reach it?"
    if not made_for_start(CERTIFICATE):
        return (
            f"certbot got no certificate for {name}, see above: {why} The one that is here is used"
            " until it ends; run deploy/install again before that"
        )
    away(machine)
    nginx.serve(machine, changed=True)
    return (
        f"certbot got no certificate for {name}, see above: {why} The domain is closed again, and"
        " the onion address is served; run deploy/install again with --domain"
    )


def made_for_start(path: Path) -> bool:
    """Return whether a certificate is self-signed, like that of ``made_here``."""
    done = subprocess.run(
        ["openssl", "x509", "-noout", "-subject", "-issuer", "-in", path],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    subject, issuer = (line.partition("=")[2] for line in done.stdout.splitlines())
    return subject == issuer


def away(machine: Machine) -> None:
    """Remove the domain: nginx no longer opens a port, and certbot drops the certificate."""
    if not WAY.exists():
        return
    say("No domain")
    machine.remove(WAY, OPEN, CERTIFICATE.parent, ANSWERS, TAKE)
    machine.remove_empty(OPEN.parent)
    machine.service("daemon-reload")
    if RENEWED.is_dir():
        machine.run("certbot", "delete", "--non-interactive", "--cert-name", LINEAGE)
