"""kill -9 at any call that writes, locks or responds: confirmed data stays complete."""

import json
import os
import random
import signal
from collections.abc import Callable
from pathlib import Path

from tests.e2e.faults.conftest import calls_in_order, faults_of, restarted, watched
from tests.e2e.faults.stories import (
    Story,
    attempt,
    code_on,
    report_form,
    text_of,
    told,
    withdraw_form,
    write_form,
)
from tests.support.drop_box import Counsellor, DropBox
from tests.support.processes import dead, threads, until
from tests.support.programs import needs_strace
from tests.support.steps import come_back

RESTART = 2.0  # seconds; the fastest of many restarts, because a machine may be busy
Act = Callable[[], None]


class Journey:
    """Reporters and a counsellor who use a server that is killed meanwhile."""

    def __init__(
        self, box: DropBox, counsellor: Counsellor, chance: random.Random, out: Path
    ) -> None:
        self.box, self.counsellor, self.chance, self.out = box, counsellor, chance, out
        self.stories: list[Story] = []
        self.replies: dict[str, bool] = {}  # each with whether the desk reported it as sent
        self.restarts: list[float] = []
        for _ in range(3):
            self.stories.append(told(box, text_of(chance, "first")))
        self.desk("fetch")
        self.threads = [thread["id"] for thread in json.loads(self.desk("list", "--json")[1])]
        self.steps: dict[str, Callable[[], Act]] = {
            "submit": self.submit,
            "return": self.come_back,
            "write": self.write,
            "withdraw": self.withdraw,
            "reply": self.reply,
        }
        self.calls = {name: self._measure(step) for name, step in self.steps.items()}

    def _measure(self, step: Callable[[], Act]) -> list[tuple[str, int]]:
        """Return the calls of this step at which to kill, as measured on this machine."""
        act = step()
        with watched(self.box, out=self.out):
            act()
        return calls_in_order(self.out)

    def desk(self, *arguments: str) -> tuple[int, str]:
        """Run a desk command; return its exit code and output."""
        done = self.counsellor.desk(*arguments, check=False)
        return done.returncode, done.stdout + done.stderr

    # steps: each method does the preparation, and returns the step itself

    def submit(self) -> Act:
        send, text = report_form(self.box.browser()), text_of(self.chance, "report")

        def act() -> None:
            if code := code_on(attempt(lambda: send(text))):
                self.stories.append(Story(code, [text]))

        return act

    def come_back(self) -> Act:
        story = self._open()

        def act() -> None:
            attempt(lambda: come_back(self.box.browser(), "nl", story.code))

        return act

    def write(self) -> Act:
        story, text = self._open(), text_of(self.chance, "more")
        send = write_form(self.box, story.code)

        def act() -> None:
            page = attempt(lambda: send(text))
            seen = page is not None and page.status == 200 and text in page.text
            (story.sure if seen else story.unsure).append(text)

        return act

    def withdraw(self) -> Act:
        story = told(self.box, text_of(self.chance, "regret"))
        self.stories.append(story)
        send = withdraw_form(self.box, story.code)

        def act() -> None:
            page = attempt(send)
            story.withdrawn = True if page and page.path == "/nl/withdrawn" else None

        return act

    def reply(self) -> Act:
        thread = self.chance.choice(self.threads)
        text = text_of(self.chance, "reply")
        file = self.counsellor.folder.parent / "reply.txt"
        file.write_text(text)

        def act() -> None:
            code, _ = self.desk("reply", thread, "--text-file", str(file))
            self.replies[text] = code == 0

        return act

    def _open(self) -> Story:
        return self.chance.choice([s for s in self.stories if s.withdrawn is False])

    # killing

    def killed_at(self, name: str, point: tuple[str, int], everybody: bool) -> bool:
        """Kill the worker that reaches this call of the step; return whether a worker was killed.

        Another thread may have run another part of the step.
        """
        act = self.steps[name]()
        before = self.box.workers()
        call, count = point
        with watched(self.box, f"{call}:signal=KILL:when={count}", out=self.out):
            act()
        # Each worker is checked separately, because both may be killed.
        killed = {pid for pid in before if dead(pid)}
        if everybody:
            self.box.kill()
            faults = [f for f in faults_of(self.box.folder) if "nobody names" not in f]
            self.restarts.append(restarted(self.box))
        else:
            until(lambda: not any(map(dead, self.box.workers())), "nobody looks after the dead")
            until(lambda: len(self.box.workers()) == 2, "a worker was not replaced")
            assert set(before) - killed <= set(self.box.workers()), "the others did not go on"
            faults = [f for f in faults_of(self.box.folder) if "nobody names" not in f]
        assert faults == [], (name, point, everybody)
        return bool(killed)

    def holds(self, some: int | None = None) -> None:
        """Check that every reporter, or the newest and a few others, finds the confirmed texts."""
        chosen = self.stories
        if some is not None:
            chosen = [self.stories[-1], *self.chance.sample(self.stories, some)]
        for story in chosen:
            story.holds(self.box)

    def desk_holds(self) -> None:
        """Check that the counsellor's desk verifies everything and that its replies arrived."""
        code, said = self.desk("fetch")
        assert code == 0, said
        assert "could not be verified" not in said
        assert "ALARM" not in said.upper()
        texts = []
        for thread in [thread["id"] for thread in self.counsellor.threads()]:
            shown = self.counsellor.read(thread)
            assert not shown["gaps"], shown["gaps"]
            for message in shown["messages"]:
                assert message["verified"], message["state"]
                texts.append(message["text"])
        for story in self.stories:
            if story.withdrawn is False:
                assert set(story.sure) <= set(texts)
        for text, went in self.replies.items():
            assert int(went) <= texts.count(text) <= 1, "a reply is lost, or came twice"


@needs_strace
def test_confirmed_data_survives_kills_of_workers_or_server(
    box: DropBox,
    counsellor: Counsellor,
    chance: random.Random,
    tmp_path: Path,
    long_run: bool,
) -> None:
    """A report, return, follow-up, withdrawal and reply are each killed at a random call."""
    journey = Journey(box, counsellor, chance, tmp_path / "calls")
    names = list(journey.steps)
    turns = 300 if long_run else 10
    killed = 0
    for turn in range(turns):
        name = names[turn % len(names)]
        point = chance.choice(journey.calls[name])
        killed += journey.killed_at(name, point, everybody=turn % 4 == 3)
        journey.holds(1)
    assert killed > turns / 2, f"only {killed} of {turns} were killed"
    box.stop()
    journey.restarts.append(restarted(box))
    assert faults_of(box.folder) == []
    journey.holds()
    journey.desk_holds()
    if long_run:
        assert min(journey.restarts) <= RESTART, journey.restarts
    assert box.log.read_text().count("Traceback") == 0


@needs_strace
def test_tracer_attaches_to_the_other_worker_if_one_dies(box: DropBox, tmp_path: Path) -> None:
    """For example, an injected kill comes before strace is attached to all threads."""
    assert box.process is not None
    # One worker may respond before the master has started the other.
    until(lambda: len(box.workers()) == 2, "the server did not start two workers")
    box.process.send_signal(signal.SIGSTOP)  # the master starts no replacement meanwhile
    try:
        first, second = box.workers()
        os.kill(first, signal.SIGKILL)
        until(lambda: dead(first), "kill -9 does not end a worker")
        with watched(box, out=tmp_path / "calls"):
            assert all("TracerPid:\t0\n" not in status for _, status in threads(second))
    finally:
        box.process.send_signal(signal.SIGCONT)
    until(lambda: first not in box.workers(), "the worker was not replaced")
    box.kill()  # a new worker ignores SIGTERM until it has started
