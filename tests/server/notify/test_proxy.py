"""The daily mail through a SOCKS5 proxy such as Tor's, and the faults of a proxy."""

import socket

import pytest

from dropbox_app.server.notify import smtp
from tests.server.notify.conftest import ANNA, Mailer
from tests.support.mail_server import Listening, MailServer, Socks
from tests.support.ports import free_port

ONE = f'[[counsellor]]\ncards = ["anna"]\naddress = "{ANNA}"\nlanguage = "nl"\n'


def test_proxy_resolves_the_host_name_and_each_email_uses_its_own_circuit(
    mailer: Mailer, provider: MailServer
) -> None:
    with provider, Socks(provider.port) as proxy:
        settings = mailer.set_up(provider.port, f'proxy = "{proxy.address}"')
        assert mailer.runs(settings) == []
    assert proxy.asked == [f"localhost:{provider.port}"] * 2
    assert len(set(proxy.users)) == 2


# The proxy's replies, one by one, before it falls silent -> the reported fault.
PROXIES: dict[str, tuple[list[bytes | None], str]] = {
    "hangs": ([b""], "took too long"),
    "hangs up": ([b"", None], "hung up"),
    "is a web server": ([b"HTTP/1.1 400 Bad Request\r\n\r\n"], "is no SOCKS5 proxy"),
    "refuses every way to log in": ([b"\x05\xff"], "refused this machine"),
    "refuses the name": ([b"\x05\x02", b"\x01\x01"], "refused this machine"),
    "cannot reach it": ([b"\x05\x02", b"\x01\x00", b"\x05\x04\x00\x01" + bytes(6)], "cannot reach"),
    "stops in an answer": ([b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x03\xffx"], "took too long"),
    "names a kind that is none": ([b"\x05\x02", b"\x01\x00", b"\x05\x00\x00\x09\xffx"], "proxy"),
}


@pytest.mark.parametrize("how", PROXIES)
def test_failing_proxy_is_reported_in_one_sentence_and_sends_no_mail(
    mailer: Mailer, provider: MailServer, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp, "SECONDS", 0.5)
    answers, said = PROXIES[how]

    def serve(near: socket.socket) -> None:
        for answer in answers:
            near.recv(4096)
            if answer is None:
                return
            near.sendall(answer)
        while near.recv(4096):  # until the mailer closes the connection
            pass

    listening = Listening(0, serve)
    with provider:
        settings = mailer.set_up(
            provider.port, f'proxy = "socks5h://127.0.0.1:{listening.port}"', counsellors=ONE
        )
        (fault,) = mailer.runs(settings)
    listening.end()
    assert said in fault
    assert provider.taken == []


def test_missing_proxy_is_named(mailer: Mailer) -> None:
    proxy = f"socks5h://127.0.0.1:{free_port()}"
    (fault,) = mailer.runs(mailer.set_up(1, f'proxy = "{proxy}"', counsellors=ONE))
    assert f"nothing answers at {proxy}; is that Tor running?" in fault
