"""Ten personas, and the paths on which each finds help."""

from dataclasses import dataclass

OTHER = ("Kim Bos", "030 765 43 21")  # the contact for complaints about the counsellor


@dataclass(frozen=True)
class Person:
    """The links from the first page, one per click, and the help at their end."""

    links: tuple[str, ...]
    nl: str
    en: str
    numbers: tuple[str, ...] = ()  # telephone numbers, each shown as a link
    has_code: bool = False  # which is typed at the end

    def said(self, lang: str) -> str:
        """Return the texts that the last page shows to this person."""
        return self.nl if lang == "nl" else self.en


PEOPLE = {
    "assaulted yesterday evening": Person(
        ("what", "help#sexual_harassment"),
        "Hulp na aanranding of verkrachting, dag en nacht.",
        "Help after assault or rape, day and night.",
        ("08000188",),
    ),
    "discriminated against": Person(
        ("what", "help#discrimination"),
        "Advies en hulp bij discriminatie, ook op je werk.",
        "Advice and help with discrimination, at work too.",
        ("08000880",),
    ),
    "saw a fraud": Person(
        ("what", "help#wrongdoing"),
        "Gratis en vertrouwelijk advies over misstanden op het werk.",
        "Free and confidential advice about wrongdoing at work.",
        ("0881331000",),
    ),
    "quarrels with a manager": Person(
        ("what", "help#conflict"),
        "Iemand zonder partij, die jullie helpt er samen uit te komen.",
        "Somebody who takes no side and helps you work it out together.",
    ),
    "is accused": Person(
        ("what", "help#accused"),
        "Gratis eerste advies over je rechten.",
        "Free first advice about your rights.",
        ("08008020",),
    ),
    "a trainee": Person(
        ("safety", "report"), "Ik ben stagiair of vrijwilliger", "I am an intern or a volunteer"
    ),
    "a temp worker who reads Polish": Person(
        (), "Talen: Nederlands en Pools", "Languages: Dutch and Polish"
    ),
    "has a complaint about the counsellor": Person(
        (), "Schrijf dan niet hier.", "Then do not write here.", ("0307654321",)
    ),
    "wants to stop": Person(
        ("return",), "Mijn gesprek wissen", "Delete my conversation", has_code=True
    ),
    "has lost the paper": Person(
        ("return", "safety"), "Zo schrijf je veiliger", "Write more safely"
    ),
}
