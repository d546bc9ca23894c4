"""The import rules of dropbox_app's zones, checked over every file's syntax tree.

A folder is a place where code runs, and so determines which secrets that code may have. The rules
are a function of (path, source), so that planted violations can show that they work.
"""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "dropbox_app"
FILES = sorted(path.relative_to(ROOT).as_posix() for path in PACKAGE.rglob("*.py"))

# The packages that each zone may use, besides the standard library, other zones and primitives.
OTHERS: dict[str, set[str]] = {
    "protocol": set(),
    "server": {
        "babel",
        "click",
        "flask",
        "flask_wtf",
        "gunicorn",
        "httpcore",
        "itsdangerous",
        "jinja2",
        "markdown_it",
        "markupsafe",
        "psycopg",
        "socks",
        "socksio",
        "sqlite_utils",
        "werkzeug",
        "wtforms",
    },
    "desk": {
        "babel",
        "certifi",
        "click",
        "flask",
        "holidays",
        "httpcore",
        "jinja2",
        "markupsafe",
        "openpyxl",
        "segno",
        "sqlcipher3",
        "typst",
        "waitress",
        "werkzeug",
    },
}
ZONES_SEEN = {
    "protocol": {"protocol"},
    "server": {"protocol", "server"},
    "desk": {"protocol", "desk"},
}

# The protocol is pure: callers pass in anything for which it would need these.
IMPURE = {
    "asyncio", "concurrent", "ftplib", "glob", "http", "logging", "mmap", "multiprocessing", "os",
    "pathlib", "random", "select", "shutil", "signal", "smtplib", "socket", "socketserver",
    "sqlite3", "ssl", "subprocess", "sys", "syslog", "tempfile", "threading", "time", "urllib",
    "warnings",
}  # fmt: skip
CLOCK_CALLS = {"today", "now", "utcnow", "time", "monotonic", "fromtimestamp"}
FILE_CALLS = {"open", "print", "input", "exec", "eval", "__import__"}

PRIMITIVES = {"cryptography", "hashlib", "hmac", "nacl"}
PRIMITIVES_IN = (
    "dropbox_app/protocol/",
    "dropbox_app/desk/storage/vault.py",
    "dropbox_app/server/web/session.py",
)

# Functions that decrypt or sign. In the server, only the reporter's agent uses them.
OPENERS = {
    "Seed", "SigningKey", "open_chunks", "open_chunks_with_passphrase", "open_sealed",
    "open_stream", "open_with_file_key", "open_with_passphrase", "derive_root", "file_key",
    "reporter_keys", "from_counsellor", "from_reporter", "unwrap",
}  # fmt: skip
AGENT = "dropbox_app/server/reporter/agent.py"
# The only other place that decrypts is for backups, which are sealed to the operator's own key. The
# contents of a backup remain sealed to others. Only backup commands may import it.
BACKUP_KEY = "dropbox_app/server/backup/key.py"
BACKUP_OPENERS = {"Seed", "open_chunks", "open_with_file_key", "file_key"}
BACKUP_USERS = ("dropbox_app/server/backup/", "dropbox_app/server/cli/backup.py")

# The folders (and single modules) of each zone, in order: each imports only itself and those above
# it. No others may exist.
RANKED = {
    "server": (
        "errors", "account", "store", "config", "mailboxes", "reporter", "backup", "notify",
        "release", "web", "doctor", "cli",
    ),
    "desk": (
        "errors", "register", "annual", "transport", "storage", "keys", "session",
        "site_check", "untrusted_files", "threads", "sync", "folder", "printables", "actions",
        "web", "cli",
    ),
}  # fmt: skip
UNRANKED: dict[str, set[str]] = {"server": set(), "desk": set()}

# The mailer has a network and knows nothing of stored data except the daily status. The part that
# writes the status reads the database and has no network.
MAILERS = tuple(
    f"dropbox_app/server/notify/{name}.py"
    for name in ("smtp", "config", "sent_log", "run", "status_file")
)
STORED = tuple(
    f"dropbox_app.server.{name}"
    for name in (
        "mailboxes",
        "config",
        "reporter",
        "web",
        "store.sqlite",
        "store.postgres",
        "notify.status",
    )
)
# Besides this order: the store imports no protocol, and the rules import no Flask.
NEVER = {
    "dropbox_app/server/store/": ("dropbox_app.protocol", "flask", "werkzeug"),
    "dropbox_app/server/mailboxes/": ("flask", "werkzeug"),
    "dropbox_app/server/reporter/": ("flask", "werkzeug"),
    "dropbox_app/desk/actions/": ("flask", "werkzeug", "click"),
    **dict.fromkeys(MAILERS, STORED),
}


def imports(path: str, tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every module that the file imports, at any depth, and each imported name."""
    package = path.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            yield node.lineno, module
            for alias in node.names:
                yield node.lineno, f"{module}.{alias.name}"


def names(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Yield every identifier that is used: plain, as an attribute, or imported."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Name):
            yield node.lineno, node.id
        elif isinstance(node, ast.Attribute):
            yield node.lineno, node.attr
        elif isinstance(node, ast.ImportFrom):
            for alias in node.names:
                yield node.lineno, alias.name


def faults(path: str, source: str) -> list[str]:
    """Return every violation of the zone table in one file."""
    tree = ast.parse(source, path)
    found = [*_import_faults(path, tree)]
    zone = _zone(path)
    if zone == "protocol":
        found += _impurities(tree)
    if zone == "server" and path != AGENT:
        barred = OPENERS - BACKUP_OPENERS if path == BACKUP_KEY else OPENERS
        found += [f"{line}: {name} opens or signs" for line, name in names(tree) if name in barred]
        if not path.startswith(BACKUP_USERS):
            found += [
                f"{line}: {module} is for backups alone"
                for line, module in imports(path, tree)
                if module.startswith("dropbox_app.server.backup.key")
            ]
    if source.count("\n") > 450:
        found.append(f"{source.count(chr(10))} lines: what is it really two of?")
    return [f"{path}:{fault}" for fault in found]


def _import_faults(path: str, tree: ast.AST) -> Iterator[str]:
    zone = _zone(path)
    for line, module in imports(path, tree):
        root, _, rest = module.partition(".")
        if zone == "":
            yield f"{line}: the package itself imports nothing, and here {module}"
        elif root == "dropbox_app":
            if rest and rest.split(".")[0] not in ZONES_SEEN[zone]:
                yield f"{line}: {zone} may not import {module}"
        elif root in PRIMITIVES:
            if not path.startswith(PRIMITIVES_IN):
                yield f"{line}: {root} is a primitive and has no place here"
        elif root not in sys.stdlib_module_names and root not in OTHERS[zone]:
            yield f"{line}: {zone} does not stand on {root}"
        for start, never in NEVER.items():
            if path.startswith(start) and f"{module}.".startswith(tuple(f"{e}." for e in never)):
                yield f"{line}: {start} does not know {module}"
        unranked = path.split("/")[-1].removesuffix(".py") in UNRANKED.get(zone, ())
        if unranked or root != "dropbox_app":
            continue
        if _rank(zone, module) > _rank(zone, path.replace("/", ".")):
            yield f"{line}: {module} is below {path} in the list of folders"


def _impurities(tree: ast.AST) -> Iterator[str]:
    for line, module in imports("", tree):
        if module.partition(".")[0] in IMPURE:
            yield f"{line}: the protocol does not use {module}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        if isinstance(node.func, ast.Name) and node.func.id in FILE_CALLS:
            yield f"{node.lineno}: the protocol does not call {node.func.id}"
        if isinstance(node.func, ast.Attribute) and node.func.attr in CLOCK_CALLS:
            yield f"{node.lineno}: the protocol has no clock, and here {node.func.attr}"


def _rank(zone: str, module: str) -> int:
    """Return the position of a module's folder in its zone's list; -1 if it has none."""
    parts = module.removesuffix(".py").split(".")
    folder = parts[2] if len(parts) > 2 and parts[1] == zone else ""
    ranked = RANKED.get(zone, ())
    return ranked.index(folder) if folder in ranked else -1


def _zone(path: str) -> str:
    parts = path.split("/")
    return parts[1] if len(parts) > 2 else ""


@pytest.mark.parametrize("path", FILES)
def test_every_file_imports_only_what_its_zone_allows(path: str) -> None:
    assert faults(path, (ROOT / path).read_text()) == []


def test_only_the_three_known_zones_exist() -> None:
    assert {_zone(path) for path in FILES} == {"", "protocol", "server", "desk"}


def test_every_folder_is_in_the_list_of_zones() -> None:
    for zone, ranked in RANKED.items():
        rooms = {path.split("/")[2].removesuffix(".py") for path in FILES if _zone(path) == zone}
        assert rooms - UNRANKED[zone] == {*ranked, "__init__"}


def test_protocol_code_reads_no_files_except_the_word_lists() -> None:
    readers = [
        path
        for path in FILES
        if _zone(path) == "protocol"
        and any("resources" in module for _, module in imports(path, _tree(path)))
    ]
    assert readers == ["dropbox_app/protocol/retrieval_code.py"]


BREACHES = {
    "a framework in the protocol": ("dropbox_app/protocol/x.py", "import flask"),
    "hidden in a function": ("dropbox_app/protocol/x.py", "def f():\n    import socket\n"),
    "a clock": ("dropbox_app/protocol/x.py", "from datetime import date\nd = date.today()"),
    "a file": ("dropbox_app/protocol/x.py", "open('x')"),
    "the desk in the server": ("dropbox_app/server/x.py", "from dropbox_app.desk import vault"),
    "the desk by a dotted way": ("dropbox_app/server/web/x.py", "from ...desk import vault"),
    "the package whole": ("dropbox_app/server/x.py", "from dropbox_app import desk"),
    "the server in the desk": ("dropbox_app/desk/x.py", "import dropbox_app.server.config.site"),
    "the protocol in the store": ("dropbox_app/server/store/x.py", "from ...protocol import age"),
    "a secret key in the server": (
        "dropbox_app/server/mailboxes/service.py",
        "from dropbox_app.protocol.keys import Seed",
    ),
    "opening in a page": (
        "dropbox_app/server/web/x.py",
        "from dropbox_app.protocol import age\nage.open_sealed(b'', [])",
    ),
    "opening with a file's own key": (
        "dropbox_app/server/mailboxes/service.py",
        "from dropbox_app.protocol import age\nage.open_with_file_key(r, w, k)",
    ),
    "keeping a file's own key": ("dropbox_app/server/web/x.py", "k = sealer.file_key"),
    "a reporter's keys where backups are opened": (
        BACKUP_KEY,
        "from dropbox_app.protocol.retrieval_code import reporter_keys",
    ),
    "the key of the backups in what serves": (
        "dropbox_app/server/web/x.py",
        "from dropbox_app.server.backup import key",
    ),
    "a primitive elsewhere": (
        "dropbox_app/desk/transport/api_client.py",
        "from hashlib import sha256",
    ),
    "a folder further down": (
        "dropbox_app/server/store/x.py",
        "from dropbox_app.server.mailboxes import service",
    ),
    "a page in the rules": ("dropbox_app/server/mailboxes/service.py", "import flask"),
    "the store in what mails": (
        "dropbox_app/server/notify/run.py",
        "from dropbox_app.server.store.sqlite import SqliteStore",
    ),
    "an unknown package": ("dropbox_app/desk/x.py", "import requests"),
    "an import in the package": ("dropbox_app/__init__.py", "import os"),
    "a long module": ("dropbox_app/desk/x.py", "x = 1\n" * 451),
}


@pytest.mark.parametrize("case", BREACHES)
def test_violation_is_detected(case: str) -> None:
    assert faults(*BREACHES[case])


LOADED = {
    "protocol": {"flask", "werkzeug", "click", "gunicorn", "httpcore", "sqlite3", "babel"},
    # Untrusted files are decoded in the browser or in the sandbox, never in the desk.
    "desk": {"gunicorn", "sqlite_utils", "dropbox_app.server", "PIL", "libmat2"},
    "server": {"dropbox_app.desk"},
}


@pytest.mark.parametrize("zone", LOADED)
def test_loaded_modules_respect_the_zones(zone: str) -> None:
    """A fresh interpreter imports the whole zone, without loading other zones' dependencies."""
    modules = [
        path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        for path in FILES
        if _zone(path) == zone
    ]
    program = "\n".join([*(f"import {module}" for module in modules), "import sys"])
    program += "\nprint(*sorted(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert modules
    assert not LOADED[zone] & set(done.stdout.split())


def test_desk_commands_load_no_web_server() -> None:
    program = "import dropbox_app.desk.cli.main, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert {"flask", "werkzeug", "waitress", "babel"}.isdisjoint(done.stdout.split())


def test_serving_code_loads_nothing_that_opens_backups_or_sends_mail() -> None:
    program = "import dropbox_app.server.cli.serve, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = done.stdout.split()
    assert BACKUP_KEY.removesuffix(".py").replace("/", ".") not in loaded
    assert {"smtplib", "httpcore", "socks", "psycopg"} & {*loaded} == set()


SITES_AND_PAGES = {
    "flask",
    "werkzeug",
    "dropbox_app.server.config.loader",
    "dropbox_app.server.config.site",
    "dropbox_app.server.reporter.agent",
    "dropbox_app.server.web",
}


@pytest.mark.parametrize(
    ("module", "never"),
    [
        ("dropbox_app.server", {"dropbox_app.server.store", "sqlite3"}),
        ("dropbox_app.server.store", {"dropbox_app.server.store.sqlite", "sqlite3"}),
        (
            "dropbox_app.server.store.sqlite",
            {"dropbox_app.server.config", "dropbox_app.protocol.age"},
        ),
        ("dropbox_app.server.notify.run", {"dropbox_app.server.store.sqlite", "sqlite3"}),
    ],
)
def test_modules_that_need_no_pages_agents_or_sites_load_none(module: str, never: set[str]) -> None:
    program = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    loaded = set(done.stdout.split())
    assert module in loaded
    assert loaded & (SITES_AND_PAGES | never) == set()


def _tree(path: str) -> ast.AST:
    return ast.parse((ROOT / path).read_text(), path)
