"""Send one email to one address, only over TLS, with no unnecessary content.

An email must never arrive twice. The caller therefore records the email as begun just before the
mail server is asked to accept the text. If no reply follows, nobody knows whether the email was
sent, and it is not sent again.
"""

import datetime
import secrets
import smtplib
import socket
import ssl
from collections.abc import Callable
from contextlib import closing, suppress
from email.utils import format_datetime

import socks

from dropbox_app.server.errors import MailError, MailUnsure
from dropbox_app.server.notify.config import PROXY, MailSettings

SECONDS = 60  # seconds to wait for each reply
HELLO = "[127.0.0.1]"  # replaces the name of this machine
_NOT_TAKEN = 400  # reply codes from this number on mean that the mail was not accepted


def written(sender: str, to: str, subject: str, sentence: str, moment: datetime.datetime) -> bytes:
    """Return the mail to send. The mail's length depends only on addresses, subject and sentence.

    The Message-ID is random, and the Date is rounded to the minute (the provider records the time
    of arrival anyway). Neither header reveals this machine, its clock or its site.
    """
    name = f"{secrets.token_hex(16)}@{sender.rpartition('@')[2]}"
    lines = (
        f"From: {sender}",
        f"To: {to}",
        f"Subject: {subject}",
        f"Date: {format_datetime(moment.replace(second=0, microsecond=0))}",
        f"Message-ID: <{name}>",
        "Auto-Submitted: auto-generated",  # suppresses automatic replies
        "MIME-Version: 1.0",
        "Content-Type: text/plain; charset=us-ascii",
        "Content-Transfer-Encoding: 7bit",
        "",
        sentence,
    )
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")


def send(
    settings: MailSettings, to: str, message: bytes, begin: Callable[[], object] = lambda: None
) -> None:
    """Hand an email to the provider, and call ``begin`` just before it may be accepted.

    Raises MailError if the email was not accepted, MailUnsure if it may have been accepted. Neither
    error contains an address or the text of the mail server's reply.
    """
    begun = False
    try:
        with closing(_Connection(settings)) as smtp:
            if settings.tls == "starttls":
                smtp.starttls(context=smtp.context)
            if settings.user:
                smtp.login(settings.user, settings.password)
            smtp.ehlo_or_helo_if_needed()
            _taken(smtp.mail(settings.sender), "the sender")
            _taken(smtp.rcpt(to), "the counsellor's address")
            begin()
            begun = True
            answer = smtp.data(message)
            if answer[0] < _NOT_TAKEN and not _good(answer):
                raise ConnectionError  # a reply code with an unknown meaning
            _taken(answer, "the mail")
            with suppress(OSError):  # the mail is already accepted
                smtp.quit()
    except smtplib.SMTPResponseException as error:
        raise MailError(_refusal(error, settings.host)) from None
    except (OSError, ValueError) as error:  # smtplib's errors, also on a bad reply
        if begun:
            raise MailUnsure(f"{settings.host} gave no answer at the end") from None
        raise MailError(_trouble(error, settings)) from None


class _Connection(smtplib.SMTP):
    """An SMTP connection that always uses TLS, through the proxy if one is set.

    Certificates are always verified against the system's authorities and the server's name.
    """

    def __init__(self, settings: MailSettings) -> None:
        self.context = ssl.create_default_context()
        self.context.minimum_version = ssl.TLSVersion.TLSv1_2
        self._settings = settings
        super().__init__(settings.host, settings.port, local_hostname=HELLO, timeout=SECONDS)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        made = _dial(host, port, self._settings.proxy, timeout)
        if self._settings.tls != "implicit":
            return made
        try:
            return self.context.wrap_socket(made, server_hostname=host)
        except BaseException:
            made.close()
            raise


def _dial(host: str, port: int, proxy: str, timeout: float) -> socket.socket:
    """Connect directly, or through a SOCKS5 proxy such as Tor's. Raises OSError.

    The proxy resolves the name. Each connection uses a different random user name, so that Tor
    opens a separate circuit for it.
    """
    where = PROXY.fullmatch(proxy)
    if where is None:
        return socket.create_connection((host, port), timeout)
    name = secrets.token_hex(8)
    made: socket.socket = socks.create_connection(
        (host, port), timeout, proxy_type=socks.SOCKS5, proxy_addr=where["host"],
        proxy_port=int(where["port"]), proxy_rdns=True, proxy_username=name, proxy_password=name,
    )  # fmt: skip
    return made


def _good(answer: tuple[int, bytes]) -> bool:
    return answer[0] // 100 == 2


def _taken(answer: tuple[int, bytes], what: str) -> None:
    if not _good(answer):
        raise MailError(f"the mail server refused {what} ({answer[0]})")


def _refusal(error: smtplib.SMTPResponseException, host: str) -> str:
    what = "user or password" if isinstance(error, smtplib.SMTPAuthenticationError) else "it"
    return f"{host} refused {what} ({error.smtp_code})"


def _trouble(error: OSError | ValueError, settings: MailSettings) -> str:
    host, port = settings.host, settings.port
    if isinstance(error, ValueError) and not isinstance(error, OSError):
        return f"{host} gave an answer that no mail server gives; check host and port"
    if isinstance(error, socks.ProxyError):
        return _proxys(error, settings.proxy)
    if isinstance(error, ssl.SSLCertVerificationError):
        return (
            f"the certificate that {host} shows is not good ({error.verify_message}); check host, "
            "the clock, and that ca-certificates is installed"
        )
    if isinstance(error, ssl.SSLError):
        return f"{host} does not speak TLS on port {port}; check port and tls"
    if isinstance(error, smtplib.SMTPNotSupportedError):
        return f"{host} does not offer what is asked (STARTTLS, or a log-in) on port {port}"
    if isinstance(error, socket.gaierror):
        return f"{host} cannot be found; check host, and the network"
    if isinstance(error, smtplib.SMTPException):
        return f"{host} hung up; check port and tls"
    return f"{host} does not answer on port {port}; check both, and the network"


def _proxys(error: Exception, proxy: str) -> str:
    if isinstance(error, socks.ProxyConnectionError):
        return f"nothing answers at {proxy}; is that Tor running?"
    inner = getattr(error, "socket_err", None)  # PySocks wraps its own errors in a general one
    if isinstance(inner, socks.SOCKS5AuthError):
        return "the proxy refused this machine"
    if isinstance(inner, socks.SOCKS5Error):
        return "the proxy cannot reach the mail server"
    return "the proxy hung up, took too long, or is no SOCKS5 proxy"
