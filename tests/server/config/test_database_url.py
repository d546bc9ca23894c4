"""``store``: which database addresses are accepted, and how others are refused."""

import pytest

from dropbox_app.server.config import database_url
from dropbox_app.server.config.toml_fields import Wrong

GOOD = {
    "": {},
    "postgresql://one@/klankbord": {
        "user": "one", "dbname": "klankbord", "host": "/run/postgresql",
    },
    "postgresql://one@/klankbord?host=/run/sockets&passfile=/etc/klankbord/passfile": {
        "user": "one", "dbname": "klankbord", "host": "/run/sockets",
        "passfile": "/etc/klankbord/passfile",
    },
    "postgresql://one@localhost:6432/klankbord": {
        "user": "one", "dbname": "klankbord", "host": "localhost", "port": "6432",
    },
    "postgresql://one@db.example.org/klankbord?sslmode=verify-full&sslrootcert=/etc/ca.pem": {
        "user": "one", "dbname": "klankbord", "host": "db.example.org",
        "sslmode": "verify-full", "sslrootcert": "/etc/ca.pem",
    },
    "postgresql://one@/klankbord?host=a.example.org,b.example.org&sslmode=verify-full": {
        "user": "one", "dbname": "klankbord", "host": "a.example.org,b.example.org",
        "sslmode": "verify-full", "target_session_attrs": "read-write",
    },
}  # fmt: skip

BAD = {
    "postgresql://one:secret@/klankbord": "must not contain a password",
    "postgresql://one:@/klankbord": "must not contain a password",
    "postgresql://one@/klankbord?password=secret": "must not contain a password",
    "postgresql://one@/klankbord?sslpassword=secret": "must not contain a password",
    "postgresql://:secret@/klankbord": "must not contain a password",
    "postgresql://@/klankbord": "must be",
    "postgresql:///klankbord": "must be",
    "postgresql://one@/": "must be",
    "postgresql://one@/a/b": "must be",
    "postgresql://One@/klankbord": "must be",
    "postgresql://one%20@/klankbord": "must be",
    "postgres://one@/klankbord": "must be",
    "sqlite:///x": "must be",
    "klankbord": "must be",
    "postgresql://one@[::1/klankbord": "must be",
    "postgresql://one@h:99999/klankbord": "must be",
    "postgresql://one@/klankbord?options=-cfsync%3Doff": "may only have",
    "postgresql://one@/klankbord?dbname=other": "may only have",
    "postgresql://one@/klankbord?host=/a&host=/b": "may only have",
    "postgresql://one@/klankbord#x": "may only have",
    "postgresql://one@/klankbord?passfile=pass": "must be a path from /",
    "postgresql://one@db.example.org/klankbord": "verify-full",
    "postgresql://one@db.example.org/klankbord?sslmode=require": "verify-full",
    "postgresql://one@/klankbord?host=/a,db.example.org": "verify-full",
}


@pytest.mark.parametrize("text", GOOD)
def test_valid_database_address_is_parsed(text: str) -> None:
    assert database_url.read(text) == GOOD[text]


@pytest.mark.parametrize("text", BAD)
def test_invalid_database_address_is_refused_without_repeating_the_password(text: str) -> None:
    with pytest.raises(Wrong, match=BAD[text]) as refused:
        database_url.read(text)
    assert "secret" not in str(refused.value)
    assert refused.value.key == "store"
