"""A provider's mail server with TLS and login, and a SOCKS5 proxy that counts traffic."""

import base64
import datetime
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

USER, PASSWORD = "box@provider.example", "een wachtwoord"
PATIENCE = 30


class Authority:
    """Signs certificates; ``file`` contains the trusted root."""

    def __init__(self, folder: Path, name: str) -> None:
        self._folder = folder / name
        self._folder.mkdir()
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        made = self._certificate(self._name, self._key.public_key(), None).sign(
            self._key, hashes.SHA256()
        )
        self.file = self._folder / "authority.pem"
        self.file.write_bytes(made.public_bytes(serialization.Encoding.PEM))

    def context(self, host: str = "localhost", days: int = 1) -> ssl.SSLContext:
        """Return the TLS context of a server of that name; ``days``: its validity."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
        made = self._certificate(subject, key.public_key(), host, days).sign(
            self._key, hashes.SHA256()
        )
        file = self._folder / f"{host}{days}.pem"
        file.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.NoEncryption(),
            )
            + made.public_bytes(serialization.Encoding.PEM)
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(file)
        return context

    def _certificate(
        self, subject: x509.Name, key: ec.EllipticCurvePublicKey, host: str | None, days: int = 1
    ) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        ours = x509.SubjectKeyIdentifier.from_public_key(self._key.public_key())
        made = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(9))
            .not_valid_after(now + datetime.timedelta(days))
            .add_extension(x509.BasicConstraints(host is None, None), critical=True)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    key_cert_sign=host is None,
                    crl_sign=host is None,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
        )
        if host is None:
            return made.add_extension(ours, critical=False)
        return made.add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ours), critical=False
        ).add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)


@dataclass
class Taken:
    """A mail that the server accepted, with its envelope."""

    sender: str
    to: list[str]
    raw: bytes


@dataclass
class MailServer:
    """Accepts mail like a provider. ``answers``: replies to use instead of the normal ones.

    ``at`` is called with each step before its response: connected, EHLO, AUTH, MAIL, RCPT, DATA,
    end, and ``after`` once the mail is accepted and confirmed.
    """

    context: ssl.SSLContext | None
    tls: str = "implicit"
    answers: dict[str, str] = field(default_factory=dict)
    at: Callable[[str], object] = lambda _step: None
    taken: list[Taken] = field(default_factory=list)
    heard: list[str] = field(default_factory=list)  # every line except those of the mail itself
    port: int = 0

    def __enter__(self) -> "MailServer":
        self._listening = Listening(self.port, self._serve)
        self.port = self._listening.port
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.end()

    def _serve(self, near: socket.socket) -> None:
        talk = _Talk(self, near)
        try:
            if self.tls == "implicit" and self.context:
                talk.secure(self.context)
            talk.hold()
        finally:
            talk.close()


class _Talk:
    """One connection, from the greeting on."""

    def __init__(self, server: MailServer, near: socket.socket) -> None:
        self._server = server
        self._near = near
        self._lines = near.makefile("rb")
        self._secure = False
        self._mail = Taken("", [], b"")

    def secure(self, context: ssl.SSLContext) -> None:
        self._lines.close()
        self._near = context.wrap_socket(self._near, server_side=True)
        self._lines = self._near.makefile("rb")
        self._secure = True

    def close(self) -> None:
        self._lines.close()
        self._near.close()

    def hold(self) -> None:
        self._say("connected", "220 provider ready")
        while line := self._lines.readline():
            said = line.decode("ascii").rstrip("\r\n")
            self._server.heard.append(said)
            verb = said.split(" ")[0].upper()
            answer = self._say(verb, self._usual(verb, said))
            if verb == "STARTTLS" and self._server.context and answer.startswith("220"):
                self.secure(self._server.context)
            if verb == "DATA" and answer.startswith("354"):
                self._take()

    def _usual(self, verb: str, said: str) -> str:
        plain = self._server.tls == "starttls" and not self._secure
        if verb == "EHLO":
            return "\r\n".join(["250-provider", "250 STARTTLS" if plain else "250 AUTH PLAIN"])
        if verb == "AUTH":
            right = base64.b64encode(f"\0{USER}\0{PASSWORD}".encode()).decode()
            return "235 ok" if said.split(" ")[-1] == right else "535 no"
        if verb == "MAIL":
            self._mail = Taken(said, [], b"")
        elif verb == "RCPT":
            self._mail.to.append(said)
        return {"STARTTLS": "220 go on", "DATA": "354 go on", "QUIT": "221 bye"}.get(verb, "250 ok")

    def _take(self) -> None:
        while not self._mail.raw.endswith(b"\r\n.\r\n"):
            line = self._lines.readline()
            if not line:
                raise ConnectionError
            self._mail.raw += line
        self._server.at("end")
        if self._server.answers.get("end", "250").startswith("250"):
            # The mail has arrived, whether or not the client learns that.
            self._server.taken.append(self._mail)
        self._answer("end", "250 taken")
        self._server.at("after")

    def _say(self, step: str, usual: str) -> str:
        self._server.at(step)
        return self._answer(step, usual)

    def _answer(self, step: str, usual: str) -> str:
        answer = self._server.answers.get(step, usual)
        if answer == "hang up":
            raise ConnectionError
        self._near.sendall(answer.encode() + b"\r\n")
        return answer


class Socks:
    """A SOCKS5 proxy like Tor's to one port, which records its requests and traffic."""

    def __init__(self, port: int) -> None:
        self._to = port
        self.asked: list[str] = []
        self.users: list[bytes] = []
        self.up: list[bytes] = []  # for each connection, everything sent to the server

    def __enter__(self) -> "Socks":
        self._listening = Listening(0, self._serve)
        self.address = f"socks5h://127.0.0.1:{self._listening.port}"
        return self

    def __exit__(self, *_: object) -> None:
        self._listening.end()

    def _serve(self, near: socket.socket) -> None:
        assert _exactly(near, 4) == b"\x05\x02\x00\x02"
        near.sendall(b"\x05\x02")
        user = _exactly(near, _exactly(near, 2)[1])
        self.users.append(user + _exactly(near, _exactly(near, 1)[0]))
        near.sendall(b"\x01\x00")
        host = _exactly(near, _exactly(near, 5)[4]).decode()
        self.asked.append(f"{host}:{int.from_bytes(_exactly(near, 2), 'big')}")
        at = len(self.up)
        self.up.append(b"")
        with socket.create_connection(("127.0.0.1", self._to)) as far:
            near.sendall(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
            back = threading.Thread(target=self._back, args=(far, near), daemon=True)
            back.start()
            while data := near.recv(65_536):
                self.up[at] += data
                far.sendall(data)
            far.shutdown(socket.SHUT_WR)
            back.join(PATIENCE)

    @staticmethod
    def _back(far: socket.socket, near: socket.socket) -> None:
        with suppress(OSError):
            while data := far.recv(65_536):
                near.sendall(data)
            near.shutdown(socket.SHUT_WR)


def records(sent: bytes) -> list[tuple[int, int]]:
    """Return the type and length of each TLS record that was sent."""
    found = []
    while sent:
        size = int.from_bytes(sent[3:5], "big")
        found.append((sent[0], size))
        sent = sent[5 + size :]
    return found


def _exactly(near: socket.socket, size: int) -> bytes:
    return near.recv(size, socket.MSG_WAITALL)


class Listening:
    """A port of this machine; each connection is served in its own thread."""

    def __init__(self, port: int, serve: Callable[[socket.socket], None]) -> None:
        self._socket = socket.create_server(("127.0.0.1", port))
        self.port = int(self._socket.getsockname()[1])
        self._serve = serve
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def end(self) -> None:
        """Close the port, and wait for running connections."""
        with suppress(OSError):  # wakes the accepting thread, which would otherwise keep the port
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in list(self._threads):
            thread.join(PATIENCE)

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                near, _ = self._socket.accept()
                self._threads.append(threading.Thread(target=self._one, args=(near,), daemon=True))
                self._threads[-1].start()

    def _one(self, near: socket.socket) -> None:
        near.settimeout(PATIENCE)
        with suppress(OSError, ValueError), near:
            self._serve(near)
