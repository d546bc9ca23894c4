"""One complete exchange with the server, in an order that loses no data.

New items are fetched first. After the fetch, keys are made in advance, the card is published and
the site is checked. Expired keys are destroyed last (SPEC sections 3 and 7). The destruction runs
even if an earlier step failed: a site that has retired this desk must not be able to make the desk
keep its keys.
"""

from dropbox_app.desk.session import Desk
from dropbox_app.desk.sync import outbox, own_card


def fetch(desk: Desk) -> None:
    """Run the complete exchange for one site. ``desk`` is connected."""
    try:
        _exchange(desk)
    finally:
        # The challenge, which every desk gets, confirms the day.
        if desk.agreed:
            own_card.destroy(desk)


def _exchange(desk: Desk) -> None:
    outbox.exchange(desk)
    if desk.agreed:
        if desk.state.restored:
            own_card.take_over(desk, desk.courier.shown())
        own_card.issue(desk)
        own_card.publish(desk)
        desk.state.restored = False
        desk.save()
    for item in desk.state.items.values():
        if item.sent == "waiting" and item.what == "message":
            desk.report.alarm(
                f"Your message to thread {item.mailbox[:8]} is still not sent; it is kept, and the "
                "next fetch tries again.",
                "still_waiting",
                item.mailbox,
            )
    shown = desk.courier.shown()
    own_card.watch(desk, shown)
    own_card.tell_reachable(desk, shown)
    names = {str(c.identity): c.name for c in own_card.readable(desk, shown)}
    if not desk.state.published:
        names.pop(desk.own, None)  # ``tell_reachable`` waits for it
    if desk.state.learn(names) or shown.response_days != desk.state.response_days:
        desk.state.response_days = shown.response_days
        desk.save()
