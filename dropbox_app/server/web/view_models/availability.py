"""Sentences that state whether a counsellor can receive messages, the same on every page.

The sentences cover an expired card, an announced absence, and a desk that has not fetched messages
for longer than the promised response time (SPEC sections 3 and 9). If another counsellor can
receive messages, the sentence says so.
"""

import datetime
from collections.abc import Iterable, Sequence

from dropbox_app.protocol.keys import VerifyKey
from dropbox_app.server.web.i18n import Words
from dropbox_app.server.web.view_models.counsellors import People, Person


class Availability:
    """The sentences for one language, one day and the counsellors on that day.

    ``silent_days`` is the number of working days after which a desk counts as silent.
    """

    def __init__(self, people: People, told: Words, today: datetime.date, silent_days: int) -> None:
        self._people = people
        self._told = told
        self._today = today
        self._silent_days = silent_days

    def of(self, person: Person, chosen: Iterable[VerifyKey] = (), *, offer: bool = True) -> str:
        """Return the sentence to read before writing to a counsellor; "" if there is none.

        ``chosen`` lists the counsellors to whom the reader already writes; they are not offered as
        alternatives. If ``offer`` is False, no alternative is offered.
        """
        told = self._told
        others = offer and bool(self._people.without({person.identity, *chosen}))
        instead = " " + told.say("person.others") if others else ""
        if not person.open:
            return told.say("person.closed", counsellor=person.name) + instead
        if person.away is not None:
            day = told.date(person.away, self._today)
            said = told.say("person.away", counsellor=person.name, date=day)
            if others and person.stand_in:
                return said + " " + told.say("person.stand_in", backup=person.stand_in)
            return said + instead
        if person.silent:
            days = self._silent_days
            return told.say("person.silent", counsellor=person.name, days=days) + instead
        return ""

    def of_all(self, chosen: Sequence[VerifyKey]) -> list[str]:
        """Return the sentences about the counsellors of a conversation, each sentence once."""
        known = {person.identity: person for person in self._people.everybody}
        gone = self._told.say("person.gone")
        said = [self.of(known[i], chosen) if i in known else gone for i in chosen]
        return [sentence for sentence in dict.fromkeys(said) if sentence]
