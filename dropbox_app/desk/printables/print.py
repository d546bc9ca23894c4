"""Make the printable files on this computer only: PDF with typst, QR codes with segno.

A PDF is tagged (PDF/UA-1) and contains its fonts, but no author, day or time. The same data give
the same bytes.
"""

import functools
import importlib.resources
import io
import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dropbox_app.desk.errors import Unfit

MAX_LINE = 100  # characters of a telephone number, or of hours

_HALF = 5  # groups of a fingerprint on one line; there are ten
_THIRD = 4  # likewise on a card
_STARTS = range(0, 10, _THIRD)
_ONION = ".onion"


@dataclass(frozen=True)
class Site:
    """The printed facts of a site: counsellor, address, and the ten groups of the identity."""

    employer: str
    counsellor: str
    origins: tuple[str, ...]
    fingerprint: str


def poster(site: Site, language: str, phone: str = "", hours: str = "") -> bytes:
    """Return a poster of one A4 page as PDF. Raises Unfit."""
    return _pdf("poster", language, _of_site(site, language, phone, hours, {}))


def cards(site: Site, language: str, phone: str = "", hours: str = "") -> bytes:
    """Return ten wallet cards of 85 by 55 mm on an A4 page as PDF. Raises Unfit."""
    extra = _texts(language)["card"]
    return _pdf("card", language, _of_site(site, language, phone, hours, extra))


def intranet(site: Site, language: str, phone: str = "", hours: str = "") -> str:
    """Return a text for an intranet or a newsletter, without markup."""
    data = _of_site(site, language, phone, hours, {})
    say = data["say"]
    lines = [_texts(language)["text"]["title"], "", say["question"], say["lead"], ""]
    lines += [*(f"- {point}" for point in say["points"]), ""]
    lines += [f"{place['label']}: {place['address']}" for place in data["places"]]
    if phone:
        lines.append(f"{say['phone']} {', '.join(part for part in (phone, hours) if part)}")
    lines += [f"{say['check']}: {site.fingerprint}", say["check_how"], "", say["urgent"], ""]
    return "\n".join(lines)


def recovery(sites: Sequence[Site], language: str) -> bytes:
    """Return the recovery sheet as PDF: without secrets, but with space to write them by hand."""
    shown = [
        {"employer": one.employer, "addresses": list(one.origins), "groups": one.fingerprint}
        for one in sites
    ]
    return _pdf("recovery", language, {"say": _texts(language)["recovery"], "sites": shown})


def call(
    language: str, fields: Sequence[tuple[str, Sequence[str]]], answers: Sequence[str]
) -> bytes:
    """Return a sheet to fill in during a call, one A4 page as PDF, without data from a desk.

    ``fields`` are the fields to tick, each with its label and words, as on the page. ``answers``
    are a reporter's possible answers to a consent request. Raises Unfit.
    """
    ticked = [{"label": label, "options": list(options)} for label, options in fields]
    say = _texts(language)["call"]
    return _pdf("call", language, {"say": say, "fields": ticked, "answers": list(answers)})


def _of_site(
    site: Site, language: str, phone: str, hours: str, extra: Mapping[str, Any]
) -> dict[str, Any]:
    for text in (phone, hours):
        if len(text) > MAX_LINE:
            raise Unfit(
                f"A line has at most {MAX_LINE} characters; this one has {len(text)}.",
                "line_long", most=MAX_LINE, given=len(text),
            )  # fmt: skip
    texts = _texts(language)
    say = _filled(texts["poster"] | extra, site)
    groups = site.fingerprint.split()
    return {
        "say": say,
        "places": [_place(origin, say) for origin in _in_order(site.origins)],
        "phone": phone,
        "hours": hours,
        "groups": [" ".join(groups[:_HALF]), " ".join(groups[_HALF:])],
        "groups_short": [" ".join(groups[at : at + _THIRD]) for at in _STARTS],
    }


def _place(origin: str, say: Mapping[str, Any]) -> dict[str, str]:
    """Return one address: its QR code, and the address with permitted line breaks."""
    return {
        "label": say["tor"] if _is_onion(origin) else say["address"],
        "address": origin,
        "alt": say["qr"].format(address=origin),
        "qr": _qr(origin),
    }


def _in_order(origins: Sequence[str]) -> list[str]:
    """Return at most one ordinary address, and after it at most one onion address."""
    plain = [one for one in origins if not _is_onion(one)]
    onions = [one for one in origins if _is_onion(one)]
    return [*plain[:1], *onions[:1]]


def _is_onion(origin: str) -> bool:
    return origin.partition("://")[2].partition(":")[0].endswith(_ONION)


def _qr(text: str) -> str:
    """Return a QR code as SVG with its quiet zone, readable even if a quarter is damaged."""
    import segno  # only where a code is drawn: each start of the program would wait for it

    out = io.BytesIO()
    segno.make(text, error="q", micro=False).save(
        out, kind="svg", border=4, xmldecl=False, svgns=True, dark="#000", light="#fff"
    )
    return out.getvalue().decode("ascii")


@functools.cache
def _texts(language: str) -> Mapping[str, Any]:
    folder = importlib.resources.files("dropbox_app.desk.printables")
    found: Mapping[str, Any] = tomllib.loads((folder / f"{language}.toml").read_text("utf-8"))
    return found


def _filled(say: Mapping[str, Any], site: Site) -> dict[str, Any]:
    """Return the texts with the names of the counsellor and the employer filled in."""

    def fill(text: str) -> str:
        return text.replace("{counsellor}", site.counsellor).replace("{employer}", site.employer)

    return {
        key: [fill(one) for one in text] if isinstance(text, list) else fill(text)
        for key, text in say.items()
    }


def file_name(kind: str, language: str) -> str:
    """Return the file name of a printable, in its language."""
    return str(_texts(language)["files"][kind])


def _pdf(name: str, language: str, data: Mapping[str, Any]) -> bytes:
    """Typeset a page. Letters missing from the built-in fonts are set in a system font."""
    try:
        import typst
    except ImportError:
        sentence = "This computer lacks typst, which makes the PDF; use another one."
        raise Unfit(sentence, "no_typst") from None
    folder = importlib.resources.files("dropbox_app.desk.printables")
    page = (folder / f"{name}.typ").read_bytes()
    for system_fonts in (False, True):
        fields = {**data, "language": language, "fallback": system_fonts}
        try:
            made = typst.compile(
                page, format="pdf", pdf_standards=["ua-1"],
                sys_inputs={"data": json.dumps(fields)}, ignore_system_fonts=not system_fonts,
            )  # fmt: skip
        except typst.TypstError:
            continue
        return bytes(made)
    sentence = "A name has letters that no font of this computer has, so it cannot be printed."
    raise Unfit(sentence, "no_font")
