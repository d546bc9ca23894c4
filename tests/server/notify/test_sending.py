"""The daily mail as a provider receives it: only over TLS, once a day, in one size."""

import datetime
import email
import queue
import re
import signal
import socket
import subprocess
import sys
from email import policy
from pathlib import Path

import pytest
from click.testing import CliRunner

from dropbox_app.server.cli import main
from dropbox_app.server.errors import MailError
from dropbox_app.server.notify import config, run, sent_log, status_file
from dropbox_app.server.notify.status_file import Word
from tests.server.notify.conftest import ANNA, BRAM, DAY, MOMENT, Mailer
from tests.support.mail_server import PASSWORD, USER, Authority, MailServer, Socks, records
from tests.support.programs import STRACE, needs_strace

LATER = MOMENT + datetime.timedelta(hours=1)
TOMORROW = MOMENT + datetime.timedelta(days=1)


def sentences(server: MailServer) -> list[str]:
    return [mail.raw.split(b"\r\n\r\n", 1)[1][:-5].decode() for mail in server.taken]


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
def test_each_counsellor_gets_a_separate_email_over_tls(
    mailer: Mailer, provider: MailServer, tls: str
) -> None:
    provider.tls = tls
    with provider:
        assert mailer.runs(mailer.set_up(provider.port, f'tls = "{tls}"')) == []
    assert [mail.to for mail in provider.taken] == [[f"rcpt TO:<{ANNA}>"], [f"rcpt TO:<{BRAM}>"]]
    assert sentences(provider) == ["Open je programma nu.", "Nothing new for today."]
    if tls == "starttls":  # nothing else was sent in plaintext
        first = provider.heard[: provider.heard.index("STARTTLS") + 1]
        assert first == ["ehlo [127.0.0.1]", "STARTTLS"]


def test_email_reveals_nothing_about_the_machine_the_site_or_the_program(
    mailer: Mailer, provider: MailServer
) -> None:
    with provider:
        settings = mailer.set_up(provider.port)
        mailer.runs(settings)
        mailer.tells("open", day=TOMORROW.date())
        mailer.runs(settings, TOMORROW)
    head = email.message_from_bytes(provider.taken[0].raw, policy=policy.SMTP)
    assert dict(head.items()) == {
        "From": USER,
        "To": ANNA,
        "Subject": "Dagbericht",
        "Date": "Fri, 27 Nov 2026 06:30:00 +0000",
        "Message-ID": head["Message-ID"],
        "Auto-Submitted": "auto-generated",
        "MIME-Version": "1.0",
        "Content-Type": 'text/plain; charset="us-ascii"',
        "Content-Transfer-Encoding": "7bit",
    }
    names = re.findall(rb"Message-ID: (\S+)", b"".join(mail.raw for mail in provider.taken))
    assert all(re.fullmatch(rb"<[0-9a-f]{32}@provider\.example>", name) for name in names)
    assert len(set(names)) == 4
    said = "\n".join(provider.heard) + "".join(mail.raw.decode() for mail in provider.taken)
    for word_of_ours in ("lankbord", "melding", "report", socket.gethostname(), "oorbeeld"):
        assert word_of_ours not in said
    assert "ehlo [127.0.0.1]" in provider.heard


@pytest.mark.parametrize("language", config.LANGUAGES)
def test_both_email_sentences_of_a_language_have_equal_length(language: str) -> None:
    said = [*run.SENTENCES[language].values(), run.TRIALS[language]]
    assert len(set(said)) == 3
    assert len({len(sentence.encode("utf-8")) for sentence in said}) == 1
    assert all(sentence.isascii() for sentence in said)


def test_both_statuses_have_the_same_size_on_disk_and_on_the_wire(
    mailer: Mailer, provider: MailServer
) -> None:
    """An observer of the network or of the provider's disk sees equal byte and record counts."""
    seen = []
    words: tuple[tuple[Word, Word], ...] = (("open", "open"), ("rest", "rest"), ("open", "rest"))
    with provider, Socks(provider.port) as proxy:
        settings = mailer.set_up(provider.port, f'proxy = "{proxy.address}"')
        for at, (anna, bram) in enumerate(words):
            moment = MOMENT + datetime.timedelta(days=at)
            mailer.tells(anna, bram, moment.date())
            before = len(proxy.up)
            assert mailer.runs(settings, moment) == []
            sent = proxy.up[before:]
            seen.append(
                (
                    [records(one) for one in sent],
                    [len(mail.raw) for mail in provider.taken[-2:]],
                    (mailer.words / status_file.FILE).stat().st_size,
                )
            )
    assert len(set(sentences(provider))) == 4
    assert len(seen[0][0]) == 2
    assert seen[0] == seen[1] == seen[2]
    assert b"Dagbericht" not in b"".join(proxy.up)


@pytest.mark.parametrize("tls", ["implicit", "starttls"])
@pytest.mark.parametrize("wrong", ["unknown", "another name", "over"])
def test_wrong_certificate_is_refused_before_anything_is_sent(
    mailer: Mailer, trusted: Authority, tmp_path: Path, wrong: str, tls: str
) -> None:
    if wrong == "unknown":
        context = Authority(tmp_path, "theirs").context()
    else:
        host, days = ("elsewhere.example", 1) if wrong == "another name" else ("localhost", -1)
        context = trusted.context(host, days)
    with MailServer(context, tls) as server:
        faults = mailer.runs(mailer.set_up(server.port, f'tls = "{tls}"'))
    assert ["the certificate that localhost shows is not good" in one for one in faults] == [
        True
    ] * 2
    assert server.taken == []
    assert [line for line in server.heard if not re.match("(?i)ehlo|starttls", line)] == []


def test_without_tls_nothing_is_sent(mailer: Mailer) -> None:
    with MailServer(None, "starttls") as server:  # offers STARTTLS but cannot do it
        faults = mailer.runs(mailer.set_up(server.port, 'tls = "starttls"'))
        # TLS is not offered, or an attacker stripped it; authentication is offered.
        server.answers["EHLO"] = "250-8BITMIME\r\n250 AUTH PLAIN"
        faults += mailer.runs(mailer.set_up(server.port, 'tls = "starttls"'))
        faults += mailer.runs(mailer.set_up(server.port))  # a server without TLS on a TLS port
    assert len(faults) == 6
    assert server.taken == []
    assert not any(re.match("(?i)auth|mail|rcpt", line) for line in server.heard)


def test_unsent_email_is_retried_the_same_day(mailer: Mailer, provider: MailServer) -> None:
    with provider:
        pass  # the port is known, and nothing listens on it
    settings = mailer.set_up(provider.port)
    (first, second) = mailer.runs(settings)
    assert f"localhost does not answer on port {provider.port}" in first
    assert (first.split(":")[0], second.split(":")[0]) == ("./anna", "bakery/bram")
    assert sent_log.last(mailer.state) is None
    with provider:
        assert mailer.runs(settings, LATER) == []
        assert mailer.runs(settings, LATER) == []
    assert sentences(provider) == ["Open je programma nu.", "Nothing new for today."]
    assert sent_log.last(mailer.state) == DAY


def test_unsent_email_is_dropped_the_next_day(mailer: Mailer, provider: MailServer) -> None:
    with provider:
        pass
    settings = mailer.set_up(provider.port)
    assert len(mailer.runs(settings)) == 2
    with provider:
        with pytest.raises(MailError, match="there is no status for today"):
            mailer.runs(settings, TOMORROW)  # never a status of another day
        mailer.tells("rest", day=TOMORROW.date())
        assert mailer.runs(settings, TOMORROW) == []
    assert sentences(provider) == ["Vandaag niets nieuws.", "Nothing new for today."]


@pytest.mark.parametrize("step", ["connected", "AUTH", "MAIL", "RCPT", "DATA", "end"])
def test_refused_recipient_does_not_delay_the_others_and_is_retried(
    mailer: Mailer, provider: MailServer, step: str
) -> None:
    once = [True]

    def refuse(reached: str) -> None:
        if reached == step and once:
            once.clear()
            provider.answers[step] = "451 anna@home.example is greylisted"
        elif reached == "after" or (reached == "connected" and not once):
            provider.answers.clear()

    provider.at = refuse
    with provider:
        settings = mailer.set_up(provider.port)
        faults = mailer.runs(settings)
        assert len(faults) == 1
        assert "(451)" in faults[0]
        assert ANNA not in faults[0]
        assert mailer.runs(settings, LATER) == []
    assert [mail.to[0] for mail in provider.taken] == [f"rcpt TO:<{BRAM}>", f"rcpt TO:<{ANNA}>"]


@pytest.mark.parametrize("step", ["connected", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "end"])
@pytest.mark.parametrize("answer", ["334 abc", "334 \u00e9", "what", "-1", "250-\r\n\r\n999 x"])
def test_malformed_response_does_not_delay_other_recipients(
    mailer: Mailer, provider: MailServer, step: str, answer: str
) -> None:
    first = [True]

    def nonsense(reached: str) -> None:
        if reached == step and first:
            first.clear()
            provider.answers[step] = answer
        elif reached == "after" or (reached == "connected" and not first):
            provider.answers.clear()

    provider.at = nonsense
    with provider:
        settings = mailer.set_up(provider.port)
        mailer.runs(settings)
        mailer.runs(settings, LATER)
    told = [mail.to[0] for mail in provider.taken]
    assert f"rcpt TO:<{BRAM}>" in told
    assert len(told) == len(set(told))


def test_missing_response_causes_no_second_email(mailer: Mailer, provider: MailServer) -> None:
    with provider:
        settings = mailer.set_up(provider.port)
        provider.answers["end"] = "hang up"
        faults = mailer.runs(settings)
        assert ["gave no answer at the end" in one for one in faults] == [True] * 2
        provider.answers.clear()
        again = mailer.runs(settings, LATER)
        assert ["no second one is sent today" in one for one in again] == [True] * 2
        assert provider.taken == []
        assert sent_log.last(mailer.state) is None
        mailer.tells("open", day=TOMORROW.date())
        assert mailer.runs(settings, TOMORROW) == []


def test_unexpected_response_to_the_smtp_quit_command_has_no_effect(
    mailer: Mailer, provider: MailServer
) -> None:
    provider.answers["QUIT"] = "500 what"
    with provider:
        assert mailer.runs(mailer.set_up(provider.port)) == []
        assert mailer.runs(mailer.set_up(provider.port)) == []
    assert len(provider.taken) == 2


def test_counsellor_of_several_sites_gets_one_email_that_names_no_site(
    mailer: Mailer, provider: MailServer
) -> None:
    row = f'[[counsellor]]\ncards = ["bakery/bram", "anna"]\naddress = "{ANNA}"\nlanguage = "en"\n'
    with provider:
        assert mailer.runs(mailer.set_up(provider.port, counsellors=row)) == []
    assert sentences(provider) == ["Please open your desk."]


def test_missing_card_is_reported_and_does_not_block_other_emails(
    mailer: Mailer, provider: MailServer
) -> None:
    status_file.write(mailer.words, {"bakery/bram": "open"}, DAY)
    with provider:
        (fault,) = mailer.runs(mailer.set_up(provider.port))
    assert fault == "./anna: there is no card ./anna; correct the cards setting; see card list"
    assert len(provider.taken) == 1


def test_two_concurrent_mailers_send_only_one_email(mailer: Mailer, provider: MailServer) -> None:
    another = pytest.raises(MailError, match="another run is sending")
    with provider, sent_log.alone(mailer.state), another:
        mailer.runs(mailer.set_up(provider.port))


def test_test_email_is_sent_at_once_and_does_not_replace_the_daily_mail(
    mailer: Mailer, provider: MailServer
) -> None:
    with provider:
        mailer.set_up(provider.port)
        done = CliRunner().invoke(main.main, [*command(mailer), "--try"])
        assert done.exit_code == 0, done.output
        assert "accepted 2" in done.output
        assert sentences(provider) == ["Dit is een proefmail.", "This mail was a trial."]
        assert list(mailer.state.iterdir()) == []


@pytest.mark.slow
def test_no_log_or_state_contains_an_address_or_a_status(
    mailer: Mailer, provider: MailServer
) -> None:
    """This covers the log after any failure, and the state file."""
    said = ""
    with provider:
        settings = mailer.set_up(provider.port)
        for step in ("connected", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "end"):
            for answer in (f"550 {ANNA} {BRAM} {PASSWORD}", "hang up", "what?"):
                provider.answers = {step: answer}
                said += "\n".join(mailer.runs(settings)) + "\n"
                (mailer.state / sent_log.FILE).unlink(missing_ok=True)
        provider.answers = {}
        assert mailer.runs(settings) == []
    kept = "".join(path.read_text() for path in mailer.state.iterdir())
    assert said.count("\n") == 2 * 7 * 3
    for secret in (ANNA, BRAM, PASSWORD, "open", "rest", "programma", "nieuws"):
        assert secret not in said, secret
        assert secret not in kept, secret
    assert PASSWORD not in repr(settings)
    assert {path.stat().st_mtime % 86_400 for path in mailer.state.iterdir()} == {0}


def command(mailer: Mailer) -> list[str]:
    return [
        *("notify", "--settings", str(mailer.file)),
        *("--words", str(mailer.words), "--state", str(mailer.state)),
    ]


def test_fault_is_reported_in_one_line_with_exit_code_1(mailer: Mailer) -> None:
    done = CliRunner().invoke(main.main, command(mailer))
    assert (done.exit_code, done.stdout) == (1, "")
    assert done.stderr.startswith("Error: A setting of the server is wrong: ")
    mailer.set_up(1)
    done = CliRunner().invoke(main.main, [*command(mailer), "--try"])
    assert (done.exit_code, done.stdout) == (1, "")
    assert [line[:7] for line in done.stderr.splitlines()] == ["Fault: "] * 2


PROGRAM = """
import datetime, sys
from pathlib import Path
from dropbox_app.server.notify import config as mail_settings
from dropbox_app.server.notify import run as notify
file, words, state = map(Path, sys.argv[1:4])
moment = datetime.datetime(2026, 11, 27, 6, 30, tzinfo=datetime.UTC)
sys.exit(bool(notify.run(mail_settings.read(file), words, state, moment)))
"""


def program(mailer: Mailer) -> list[str]:
    start = f"import sys\nsys.path[:0] = {sys.path!r}\n{PROGRAM}"
    folders = (mailer.file, mailer.words, mailer.state)
    return [sys.executable, "-S", "-c", start, *map(str, folders)]


ONE = f'[[counsellor]]\ncards = ["anna"]\naddress = "{ANNA}"\nlanguage = "nl"\n'
STEPS = ("connected", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", "end", "after")


@pytest.mark.parametrize("step", STEPS)
def test_kill_at_any_smtp_step_causes_no_second_email(
    mailer: Mailer, provider: MailServer, step: str
) -> None:
    running: queue.Queue[subprocess.Popen[bytes]] = queue.Queue()

    def kill(reached: str) -> None:
        if reached == step:
            process = running.get()
            process.kill()
            process.wait(60)

    provider.at = kill
    with provider:
        settings = mailer.set_up(provider.port, counsellors=ONE)
        process = subprocess.Popen(program(mailer))
        running.put(process)
        ended = process.wait(60)
        assert ended == -signal.SIGKILL or step == "after"
        provider.at = lambda _step: None
        faults = mailer.runs(settings, LATER)
        assert mailer.runs(settings, LATER) == faults
    certain = STEPS.index(step) < STEPS.index("DATA")
    assert len(provider.taken) <= 1
    if certain:  # the mail cannot have been sent yet, so it is sent now
        assert (len(provider.taken), faults) == (1, [])


@needs_strace
@pytest.mark.parametrize("nth", [1, 2, 3])
def test_kill_at_any_state_write_causes_no_second_email(
    mailer: Mailer, provider: MailServer, nth: int
) -> None:
    """A run renames three files into place: started, sent, and the last day."""
    with provider:
        settings = mailer.set_up(provider.port, counsellors=ONE)
        done = subprocess.run(
            [
                *(str(STRACE), "-f", "-qq", "-o", str(mailer.file.with_name("calls"))),
                *("-e", "trace=rename", "-e", f"inject=rename:signal=KILL:when={nth}"),
                *program(mailer),
            ],
            capture_output=True, check=False, timeout=120,
        )  # fmt: skip
        assert done.returncode in (-signal.SIGKILL, 128 + signal.SIGKILL), done.stderr
        assert len(provider.taken) == (0 if nth == 1 else 1)
        faults = mailer.runs(settings, LATER)
    assert len(provider.taken) == 1
    assert len(faults) == (1 if nth == 2 else 0)  # whether the second mail was sent is unknown
    assert sent_log.last(mailer.state) == (None if nth == 2 else DAY)
