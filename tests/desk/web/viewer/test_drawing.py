"""The browser's rendering of a file: exactly its pixels and nothing else."""

import hashlib
import io
import shutil
import subprocess
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path

import PIL.Image
import PIL.PngImagePlugin
import pytest
from playwright.sync_api import Page

from dropbox_app.desk.actions import clean_copies
from dropbox_app.desk.actions.clean_copies import Drawn
from tests.support.hostile_files import TAGS, chunk, jpeg, pdf, pixels, png, small_png, svg
from tests.support.viewer_site import ViewerSite

needs_exiftool = pytest.mark.skipif(
    not shutil.which("exiftool"), reason="exiftool is not installed"
)
MARKS = (b"Apfel", b"Fon 12", b"Sanne", b"2026:11", b"Exif", b"tEXt", b"secret words")


def digest(image: PIL.Image.Image) -> str:
    """Return the digest as the page computes it, of the pixels on white."""
    white = PIL.Image.new("RGBA", image.size, "white")
    white.alpha_composite(image.convert("RGBA"))
    return hashlib.sha256(white.tobytes()).hexdigest()


def decoded(content: bytes) -> PIL.Image.Image:
    return PIL.Image.open(io.BytesIO(content))


def saved(image: PIL.Image.Image, form: str, **options: object) -> bytes:
    made = io.BytesIO()
    image.save(made, form, **options)
    return made.getvalue()


@needs_exiftool
def test_large_photo_keeps_its_pixels_and_loses_location_and_name(
    page: Page, site: ViewerSite, tmp_path: Path, long_run: bool
) -> None:
    """The PNG has identical pixels, and the JPEG shows no visible difference.

    The photo has 12 megapixels with --long, otherwise 3, because hashing pixels is slow.
    """
    size = (4_000, 3_000) if long_run else (2_000, 1_500)
    photo = jpeg(tmp_path, *TAGS, "-Comment=secret words", size=size)
    assert all(mark in photo for mark in MARKS if mark != b"tEXt")
    (seen,) = site.look(page, "image/jpeg", photo, type="image/png")["seen"]
    assert (seen["width"], seen["height"], seen["reduced"]) == (*size, False)
    assert seen["digest"] == digest(decoded(photo))
    copy = site.kept[1]
    assert digest(decoded(copy)) == seen["digest"]
    assert not [mark for mark in MARKS if mark in copy]
    assert site.look(page, "image/jpeg", photo, type="image/jpeg")["pages"] == 1
    assert decoded(site.kept[1]).size == size
    assert not [mark for mark in MARKS if mark in site.kept[1]]
    told = subprocess.run(
        ("exiftool", "-G", "-EXIF:all", "-XMP:all", "-IPTC:all", "-Comment", "-"),
        input=site.kept[1], capture_output=True, check=False,
    ).stdout  # fmt: skip
    assert told == b""


def test_text_metadata_of_an_image_is_removed(page: Page, site: ViewerSite) -> None:
    words = chunk(b"tEXt", b"Author\0Sanne, secret words") + chunk(b"tIME", bytes(7))
    small = small_png()
    spoken = small[:33] + words + small[33:] + b"secret words after the end"
    (seen,) = site.look(page, "image/png", spoken, type="image/png")["seen"]
    assert seen["digest"] == digest(decoded(small))
    assert not [mark for mark in MARKS if mark in site.kept[1]]


KINDS: Mapping[str, Callable[[PIL.Image.Image], bytes]] = {
    "image/png": lambda image: saved(image, "PNG"),
    "image/gif": lambda image: saved(image.quantize(8), "GIF"),
    "image/bmp": lambda image: saved(image, "BMP"),
    "image/webp": lambda image: saved(image, "WEBP", lossless=True),
    "image/jpeg": lambda image: saved(image, "JPEG", progressive=True),
    "image/avif": lambda image: saved(image, "AVIF", quality=100, subsampling="4:4:4"),
}


def four_colours() -> PIL.Image.Image:
    made = PIL.Image.new("RGB", (64, 48), "red")
    for place, colour in (((32, 0), "lime"), ((0, 24), "blue"), ((32, 24), "white")):
        made.paste(PIL.Image.new("RGB", (32, 24), colour), place)
    return made


@pytest.mark.parametrize("kind", KINDS)
def test_every_common_image_type_is_drawn(page: Page, site: ViewerSite, kind: str) -> None:
    content = KINDS[kind](four_colours())
    (seen,) = site.look(page, kind, content, type="image/png")["seen"]
    assert (seen["width"], seen["height"]) == (64, 48)
    drawn = decoded(site.kept[1]).convert("RGB")
    for place in ((8, 8), (56, 8), (8, 40), (56, 40)):
        expected, found = four_colours().getpixel(place), drawn.getpixel(place)
        assert isinstance(expected, tuple)
        assert isinstance(found, tuple)
        assert max(abs(a - b) for a, b in zip(expected, found, strict=True)) <= 4


@needs_exiftool
def test_rotated_photo_is_drawn_upright(page: Page, site: ViewerSite, tmp_path: Path) -> None:
    sideways = jpeg(tmp_path, "-Orientation#=6")
    (seen,) = site.look(page, "image/jpeg", sideways)["seen"]
    assert (seen["width"], seen["height"]) == (120, 160)


def test_transparent_image_is_drawn_on_white(page: Page, site: ViewerSite) -> None:
    clear = PIL.Image.new("RGBA", (8, 8), (255, 0, 0, 0))
    (seen,) = site.look(page, "image/png", saved(clear, "PNG"))["seen"]
    assert seen["digest"] == digest(PIL.Image.new("RGB", (8, 8), "white"))


def short(number: int) -> bytes:
    return number.to_bytes(2, "little")


def three(number: int) -> bytes:
    return (number - 1).to_bytes(3, "little")


def long(number: int) -> bytes:
    return number.to_bytes(4, "little")


def big(number: int) -> bytes:
    return number.to_bytes(4, "big")


def stated(width: int, height: int) -> dict[str, tuple[str, bytes]]:
    """Return the beginnings of images whose headers declare this size, without any pixels."""
    frame = b"\xff\xc0\0\x11\x08" + height.to_bytes(2, "big") + width.to_bytes(2, "big")
    parts = b"\xff\xe1\0\x06Exif\xff\xdb\0\x04\0\0\xff\xff"  # segments, and one filler byte
    vp8l = long((width - 1) | (height - 1) << 14)
    boxes = b"\0\0\0\x14ispe\0\0\0\0" + big(8) + big(8) + b"\0\0\0\x14ispe\0\0\0\0"
    return {
        "PNG": ("image/png", png(width, height, b"")),
        "JPEG": ("image/jpeg", b"\xff\xd8" + parts + frame[1:] + bytes(20)),
        "GIF": ("image/gif", b"GIF89a" + short(width) + short(height) + b"\0\0\0"
                + b"\x2c" + bytes(8) + bytes(9)),
        "GIF with a small screen": ("image/gif", b"GIF89a" + bytes(4) + b"\x80\0\0" + bytes(6)
                + b"\x21\xf9\x04\0\0\0\0\0\x2c" + bytes(4) + short(width) + short(height)),
        "WebP": ("image/webp", b"RIFF\0\0\0\0WEBPVP8 \0\0\0\0\0\0\0\x9d\x01\x2a"
                 + short(width) + short(height)),
        "WebP without loss": ("image/webp", b"RIFF\0\0\0\0WEBPVP8L\0\0\0\0\x2f" + vp8l),
        "WebP with more": ("image/webp", b"RIFF\0\0\0\0WEBPVP8X\x0a\0\0\0\0\0\0\0"
                           + three(width) + three(height)),
        "BMP": ("image/bmp", b"BM" + bytes(12) + long(40) + long(width) + long(2**32 - height)),
        "BMP of long ago": ("image/bmp", b"BM" + bytes(12) + long(12) + short(width)
                            + short(height)),
        "AVIF": ("image/avif", b"\0\0\0\x14ftypavif" + boxes + big(width) + big(height)
                 + bytes(16)),
    }  # fmt: skip


@pytest.mark.parametrize("form", stated(1, 1))
def test_image_declaring_too_many_pixels_is_not_decoded(
    page: Page, site: ViewerSite, form: str
) -> None:
    """The limit is 60 megapixels; the message can state the declared number."""
    kind, content = stated(10_000, 12_000)[form]
    told = site.look(page, kind, content)
    assert (told["fault"], told["width"], told["height"]) == ("too_large", 10_000, 12_000)
    kind, content = stated(100, 120)[form]
    # The picture has no data: one browser refuses it, and another shows an empty picture.
    assert site.look(page, kind, content).get("fault", "damaged") == "damaged"


def test_image_over_16_megapixels_is_reduced_and_the_page_says_so(
    page: Page, site: ViewerSite
) -> None:
    large = png(8_000, 6_000, zlib.compress(bytes((1 + 24_000) * 6_000)))
    (seen,) = site.look(page, "image/png", large)["seen"]
    assert seen["reduced"]
    assert seen["width"] * seen["height"] <= 16_000_000
    assert (seen["width"], seen["height"]) == (4_618, 3_464)


# documents


def test_requested_document_pages_are_drawn(page: Page, site: ViewerSite) -> None:
    told = site.look(page, "application/pdf", pdf(5), **{"from": 2, "to": 3})
    assert told["pages"] == 5
    assert [one["number"] for one in told["seen"]] == [2, 3]
    assert len({one["digest"] for one in told["seen"]}) == 2
    assert {(one["width"], one["height"]) for one in told["seen"]} == {(833, 833)}


def with_objects(document: bytes, *objects: bytes) -> bytes:
    """Return a PDF with extra objects from number 20 on, which readers find by scanning."""
    more = b"".join(b"%d 0 obj\n%s\nendobj\n" % (20 + n, one) for n, one in enumerate(objects))
    return document.replace(b"xref\n", more + b"xref\n", 1).replace(b"startxref", b"lost", 1)


def stream(head: bytes, data: bytes) -> bytes:
    return b"<< %s /Length %d >>\nstream\n%s\nendstream" % (head, len(data), data)


def image_pdf(head: bytes, data: bytes) -> bytes:
    """Return a PDF whose page is one image."""
    drawn = stream(b"", b"400 0 0 400 0 0 cm /I Do")
    form = b"/Type /XObject /Subtype /Image /Width 64 /Height 48 " + head
    made = pdf(1).replace(b"/Contents 4 0 R", b"/Contents 20 0 R /Resources << /XObject << /I "
                          b"21 0 R >> >>")  # fmt: skip
    return with_objects(made, drawn, stream(form, data))


def fax() -> bytes:
    """Return the rows of a black and white image in fax compression."""
    left = PIL.Image.new("1", (64, 48), 1)
    left.paste(0, (0, 0, 32, 48))
    tiff = decoded(saved(left, "TIFF", compression="group4"))
    start, length = tiff.tag_v2[273][0], tiff.tag_v2[279][0]  # type: ignore[attr-defined] # a TIFF attribute
    return saved(left, "TIFF", compression="group4")[start : start + length]


SCANS = {
    "fax": lambda: image_pdf(
        b"/ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /CCITTFaxDecode /DecodeParms "
        b"<< /K -1 /Columns 64 /Rows 48 /BlackIs1 true >>", fax()),
    "JPEG 2000": lambda: image_pdf(
        b"/ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /JPXDecode",
        saved(half_black(), "JPEG2000")),
    "JPEG": lambda: image_pdf(
        b"/ColorSpace /DeviceRGB /BitsPerComponent 8 /Filter /DCTDecode",
        saved(half_black(), "JPEG")),
}  # fmt: skip


def half_black() -> PIL.Image.Image:
    made = PIL.Image.new("RGB", (64, 48), "white")
    made.paste("black", (0, 0, 32, 48))
    return made


@pytest.mark.parametrize("form", SCANS)
def test_scans_and_faxes_are_drawn(page: Page, site: ViewerSite, form: str) -> None:
    told = site.look(page, "application/pdf", SCANS[form](), type="image/png")
    assert told["pages"] == 1, told
    drawn = decoded(site.kept[1]).convert("L")
    assert drawn.getpixel((200, 400)) == 0
    assert drawn.getpixel((600, 400)) == 255


def test_unembedded_fonts_and_filled_in_fields_are_drawn(page: Page, site: ViewerSite) -> None:
    words = stream(b"", b"BT /F 40 Tf 20 300 Td (Beste vertrouwenspersoon) Tj ET")
    form = (b"/Contents 20 0 R /Annots [21 0 R] /Resources << /Font << /F << /Type /Font "
            b"/Subtype /Type1 /BaseFont /Helvetica >> >> >>")  # fmt: skip
    field = (b"<< /Type /Annot /Subtype /Widget /FT /Tx /T (naam) /V (ja) /F 4 /Rect [0 0 100 100] "
             b"/AP << /N 22 0 R >> >>")  # fmt: skip
    look = stream(b"/Type /XObject /Subtype /Form /BBox [0 0 100 100]", b"1 0 0 rg 0 0 99 99 re f")
    made = with_objects(pdf(1).replace(b"/Contents 4 0 R", form), words, field, look)
    site.look(page, "application/pdf", made, type="image/png")
    drawn = decoded(site.kept[1]).convert("RGB")
    assert drawn.getpixel((50, 780)) == (255, 0, 0)
    dark, _ = drawn.crop((0, 100, 833, 260)).convert("L").getextrema()
    assert isinstance(dark, int)
    assert dark < 100


@needs_exiftool
def test_document_is_saved_as_images_without_author_and_attachment(
    page: Page, site: ViewerSite
) -> None:
    named = pdf(2, b"/Names << /EmbeddedFiles << /Names [(secret words.txt) 20 0 R] >> >>")
    named = named.replace(b"trailer <<", b"trailer << /Info << /Author (Sanne) >>")
    content = with_objects(
        named,
        b"<< /Type /Filespec /F (secret words.txt) /EF << /F 21 0 R >> >>",
        stream(b"/Type /EmbeddedFile", b"secret words"),
    )
    told = site.look(page, "application/pdf", content, to=2, type="image/jpeg")
    drawn = [Drawn(one["width"], one["height"], site.kept[one["number"]]) for one in told["seen"]]
    copy = clean_copies.document(drawn)
    assert all(one.picture in copy for one in drawn)
    assert not [mark for mark in MARKS if mark in copy]
    shown = subprocess.run(
        ("exiftool", "-Author", "-Title", "-CreateDate", "-ModifyDate", "-"),
        input=copy, capture_output=True, check=False,
    ).stdout  # fmt: skip
    assert shown == b""
    again = site.look(page, "application/pdf", copy, to=2, type="image/png")
    assert [(one["width"], one["height"]) for one in again["seen"]] == [(833, 833)] * 2
    assert decoded(site.kept[2]).convert("RGB").getpixel((300, 600))[2] > 200  # type: ignore[index]  # three numbers


# files that cannot be drawn


def locked() -> bytes:
    """Return a PDF that asks for a password."""
    lock = b"/Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <%s> /U <%s> >> " % (
        b"41" * 32,
        b"42" * 32,
    )
    return pdf(1).replace(b"trailer << ", b"trailer << /ID [<00> <00>] " + lock)  # fmt: skip


REFUSED = {
    "locked": ("application/pdf", locked(), "locked"),
    "no document": ("application/pdf", b"%PDF-1.7\n" + bytes(300), "damaged"),
    "half a picture's header": ("image/png", small_png()[:20], "damaged"),
    "a web page called a photo": ("image/jpeg", b"<html><script>alert(1)</script>", "damaged"),
    "a drawing with a script": ("image/png", svg("alert(1)"), "damaged"),
    "a drawing as a drawing": ("image/svg+xml", svg("alert(1)"), "unknown_kind"),
    "a kind of which the page never asks": ("constructor", b"x", "unknown_kind"),
    "a photo of a telephone": ("image/heic", b"\0\0\0\x14ftypheic", "unknown_kind"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_exact_reason_is_given_if_a_file_cannot_be_shown(
    page: Page, site: ViewerSite, case: str
) -> None:
    kind, content, fault = REFUSED[case]
    assert site.look(page, kind, content)["fault"] == fault


def test_file_is_neither_drawn_nor_called_damaged_if_its_transfer_was_interrupted(
    page: Page, site: ViewerSite
) -> None:
    """For example, the desk notices at the end that the file is not the signed one."""
    site.broken.add("one")
    assert site.look(page, "image/png", small_png())["fault"] == "not_received"
    site.broken.clear()
    assert site.look(page, "image/png", small_png())["pages"] == 1


def test_failure_of_the_frame_to_start_is_not_blamed_on_the_file(
    page: Page, site: ViewerSite
) -> None:
    site.frame = type(site.frame)(site.frame.html, site.frame.policy.replace("blob:", "'none'"))
    assert site.look(page, "image/png", small_png())["fault"] == "ours"


def test_small_image_is_saved_as_a_plain_png(page: Page, site: ViewerSite) -> None:
    """The image has no transparency, so the PNG has only a header, rows, an end and colours."""
    site.look(page, "image/png", small_png(), type="image/png")
    found = decoded(site.kept[1])
    assert found.convert("RGB").tobytes() == b"".join(pixels(small_png())[2])
    assert not set(found.info) - {"srgb", "gamma", "chromaticity"}
