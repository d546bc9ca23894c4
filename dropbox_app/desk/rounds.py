"""One round to the server and back: what ``fetch`` does, in an order that loses nothing.

First what came in is brought home, then keys are made ahead and the card is published, then the
site is watched, and only then is destroyed what has had its time (SPEC sections 3 and 7). That
last step is taken also where one before it failed: a site that has retired this desk must not
make it keep its keys.
"""

from dropbox_app.desk import cardwork, outbox
from dropbox_app.desk.desk import Desk


def fetch(desk: Desk) -> None:
    """The whole round for one site; ``desk`` is connected. News and alarms are in its report."""
    try:
        _exchange(desk)
    finally:
        # The day is confirmed by the challenge, which every desk is given.
        if desk.agreed:
            cardwork.destroy(desk)


def _exchange(desk: Desk) -> None:
    outbox.exchange(desk)
    if desk.agreed:
        if desk.state.restored:
            cardwork.take_over(desk, desk.courier.shown())
        cardwork.issue(desk)
        cardwork.publish(desk)
        desk.state.restored = False
        desk.save()
    shown = desk.courier.shown()
    cardwork.watch(desk, shown)
    if desk.state.learn({str(c.identity): c.name for c in cardwork.readable(desk, shown)}):
        desk.save()
