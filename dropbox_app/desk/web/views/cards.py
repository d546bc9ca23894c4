"""The page of keys and cards: the ten groups and keys for each employer, changes, new employers."""

import io
import zipfile

from flask import Blueprint, abort, redirect, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from dropbox_app.desk.actions import setup, sites
from dropbox_app.desk.actions.sites import Site
from dropbox_app.desk.storage.state import Profile
from dropbox_app.desk.web import here
from dropbox_app.desk.web.errors import sentence
from dropbox_app.desk.web.i18n import LANGUAGES
from dropbox_app.desk.web.views.beginning import (
    KINDS,
    PROXIES,
    SCOPES,
    given_invitation,
    given_profile,
)
from dropbox_app.protocol.errors import KlankbordError

blueprint = Blueprint("cards", __name__, url_prefix="/cards")


@blueprint.get("")
def cards() -> ResponseReturnValue:
    """Show the ten groups for all employers as one list, for one phone call."""
    found = sorted(sites.sites(here.place()), key=lambda one: one.employer.casefold())
    return render_template("cards.html", sites=[(_handle(one.site), one) for one in found])


@blueprint.get("/first")
def first() -> ResponseReturnValue:
    """Show a new card with its ten groups, and what to say on the telephone."""
    found = sites.sites(here.place())
    if len(found) != 1:
        return redirect(url_for("cards.cards"))
    return render_template("first_card.html", site=found[0], handle=_handle(found[0].site))


@blueprint.get("/site/<handle>")
def card(handle: str) -> ResponseReturnValue:
    """Show one employer: the ten groups in large type, the keys, the card's contents."""
    site, kept = _site(handle), here.page().take_typed()
    if kept is None:
        return _card(site, "")
    (found,) = sites.sites(here.place(), site)
    return _card(site, here.told().say("unlock.kept"), given_profile(found.profile, kept))


@blueprint.post("/site/<handle>")
def change(handle: str) -> ResponseReturnValue:
    """Change the contents of the card. The next fetch publishes the new card."""
    site = _site(handle)
    (found,) = sites.sites(here.place(), site)
    profile = given_profile(found.profile)
    try:
        here.page().lock.settle(site)
        sites.card(here.place(), site, lambda _: setup.tidy(profile))
    except KlankbordError as error:
        return _card(site, sentence(here.told(), error), profile), 422
    return redirect(url_for("cards.card", handle=handle, said="changed"), 303)


@blueprint.post("/site/<handle>/move")
def move(handle: str) -> ResponseReturnValue:
    """Accept a site's new addresses from a new invitation."""
    site = _site(handle)
    try:
        here.page().lock.settle(site)
        if setup.invited(raw := given_invitation()).site != site:
            return _card(site, here.told().say("cards.other_site")), 422
        setup.move(here.place(), raw)
    except KlankbordError as error:
        return _card(site, sentence(here.told(), error)), 422
    return redirect(url_for("cards.card", handle=handle, said="moved"), 303)


@blueprint.post("/site/<handle>/file")
def file(handle: str) -> ResponseReturnValue:
    """Send the card for the operator. It is public.

    A card that the site does not have yet is first reissued if its keys are not current. The
    request is therefore a POST.
    """
    site = _site(handle)
    here.page().lock.settle(site)
    shown = sites.card(here.place(), site)
    return send_file(
        io.BytesIO(shown.raw), "application/octet-stream", as_attachment=True,
        download_name=here.told().say("cards.name_one"),
    )  # fmt: skip


@blueprint.post("/files")
def files() -> ResponseReturnValue:
    """Send the cards of all employers in one file, numbered in the order of the list of groups.

    Like ``file``, this view may issue a card again, so the request is a POST.
    """
    here.page().lock.settle_all()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as kept:
        for number, (_, shown) in enumerate(sites.cards_of_all(here.place()), start=1):
            kept.writestr(zipfile.ZipInfo(f"{number:02}.card"), shown.raw)
    packed.seek(0)
    return send_file(
        packed, "application/zip", as_attachment=True,
        download_name=here.told().say("cards.name_all"),
    )  # fmt: skip


@blueprint.get("/new")
def new() -> ResponseReturnValue:
    """Ask for the invitation of a further employer."""
    profile, kept = sites.sites(here.place())[0].profile, here.page().take_typed()
    if kept is None:
        return _new("", "", profile)
    problem, pasted = here.told().say("unlock.kept"), kept.get("invitation", "")
    return _new(problem, pasted, given_profile(form=kept), kept.get("proxy", ""))


@blueprint.post("/new")
def join() -> ResponseReturnValue:
    """Add an employer. The counsellor's profile is taken from the form."""
    raw, proxy, profile = given_invitation(), request.form.get("proxy", ""), given_profile()
    try:
        made = setup.join(here.place(), raw, profile, proxy)
    except KlankbordError as error:
        pasted = request.form.get("invitation", "")
        return _new(sentence(here.told(), error), pasted, profile, proxy), 422
    return redirect(url_for("cards.card", handle=_handle(made.site), said="joined"), 303)


def _card(site: str, problem: str, typed: Profile | None = None) -> str:
    """Show one employer. ``typed`` contains the values of a refused form, to show them again."""
    (found,) = sites.sites(here.place(), site)
    said = request.args.get("said", "")
    return render_template(
        "card.html", site=found, profile=typed or found.profile, handle=_handle(site),
        problem=problem, said=said if said in ("changed", "moved", "joined") else "", kinds=KINDS,
        scopes=SCOPES, languages=LANGUAGES, keys=_keys(found),
    )  # fmt: skip


def _keys(site: Site) -> list[dict[str, object]]:
    return [{"first": one.first, "until": one.until} for one in site.keys]


def _new(problem: str, pasted: str, profile: Profile, proxy: str = "") -> str:
    return render_template(
        "card_new.html", problem=problem, pasted=pasted, profile=profile, proxies=PROXIES,
        proxy=proxy, kinds=KINDS, scopes=SCOPES, languages=LANGUAGES,
        needs_tor=False,
    )  # fmt: skip


def _handle(site: str) -> str:
    return here.page().handles.of(site, "")


def _site(handle: str) -> str:
    site, mailbox = here.thread_of(handle)
    if mailbox:
        abort(404)
    return site
