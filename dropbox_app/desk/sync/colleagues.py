"""Find a colleague on a site by the ten groups, by an identity, or by name."""

import re
from collections.abc import Callable

from dropbox_app.desk.errors import NoSuchCounsellor, Unfit
from dropbox_app.desk.session import Desk
from dropbox_app.desk.sync import own_card
from dropbox_app.protocol import card as cards

# A unique description of a colleague: the ten groups, or an identity in hex or base64.
_GROUPS = re.compile(r"[0-9a-f]{40}", re.ASCII)
_HEX = re.compile(r"[0-9a-f]{64}", re.ASCII)
_BASE64 = re.compile(r"[A-Za-z0-9+/]{43}=", re.ASCII)


def counsellor(desk: Desk, who: str, confirmed: Callable[[cards.Card], bool]) -> cards.Card:
    """Return the card of a colleague on this site. Raises NotFound or Unfit.

    An identity (base64 or hex) or the ten groups identify the colleague reliably. For a name, the
    server alone decides which card is returned, so ``confirmed`` shows the card's groups and asks
    for confirmation.
    """
    name, digits = " ".join(who.split()), "".join(who.split()).lower()
    colleagues = own_card.readable(desk, desk.courier.shown())
    shown = {card.identity: card for card in colleagues}
    if _GROUPS.fullmatch(digits):
        found = [one for one in shown if one.fingerprint().replace(" ", "") == digits]
    elif _HEX.fullmatch(digits):
        found = [one for one in shown if one.hex == digits]
    elif _BASE64.fullmatch(name):
        found = [one for one in shown if str(one) == name]
    else:
        found = [identity for identity, card in shown.items() if card.name == name]
        if len(found) == 1 and found[0] != desk.identity and not confirmed(shown[found[0]]):
            raise Unfit(
                "Nothing was done: a name alone does not say who is meant. Ask your colleague, and "
                "give the ten groups or the identity instead of the name.",
                "name_alone",
            )
    if len(found) != 1:
        raise NoSuchCounsellor(
            f"{'No' if not found else 'More than one'} counsellor of this site goes by that name; "
            "give the ten groups of the fingerprint instead."
        )
    if found[0] == desk.identity:
        raise Unfit("That is yourself; name another counsellor.", "yourself")
    return shown[found[0]]
