"""Check that a page fits: nothing is cut off or overflows in windows of any width."""

from collections.abc import Sequence

from playwright.sync_api import Page

# From a laptop to a small phone. A window of 1,280 pixels has 640 at a zoom of 200 per cent, and
# 320 at 400 per cent.
WIDTHS = (1280, 1024, 768, 640, 600, 480, 360, 320)
TWICE = "document.documentElement.style.fontSize = '225%'"  # the style sheet has 112.5%
_AS_IT_WAS = "document.documentElement.style.fontSize = ''"
_CUT = """() => {
    const said = (one) => one.outerHTML.slice(0, 80);
    const all = [...document.querySelectorAll('body *')].filter(
        (one) => one.getClientRects().length && !one.closest('.skip'));
    const box = (one) => one.getBoundingClientRect();
    const whole = document.documentElement.scrollWidth;
    const block = (one) => getComputedStyle(one).display === 'inline'
        ? block(one.parentElement) : one;
    const sticks_out = (text) => {
        const room = box(block(text.parentElement)), range = document.createRange();
        const style = getComputedStyle(text.parentElement);
        // The space at the end of a line hangs out of it where spaces are kept.
        const hangs = style.whiteSpace === 'pre-wrap' ? parseFloat(style.fontSize) / 2 : 1;
        range.selectNodeContents(text);
        return [...range.getClientRects()].some(
            (line) => line.right > room.right + hangs || line.left < room.left - 1);
    };
    const texts = all.filter((one) => !one.closest('select, textarea')).flatMap(
        (one) => [...one.childNodes].filter((part) => part.nodeType === 3 && part.data.trim()));
    const hides = (one) => getComputedStyle(one).overflow !== 'visible'
        && !one.matches('input, textarea, select, canvas, svg, iframe, html');
    return [
        ...whole > innerWidth ? [`the page is ${whole} wide`] : [],
        ...all.filter((one) => box(one).right > innerWidth + 1 || box(one).left < -1)
            .map((one) => `beyond the window: ${said(one)}`),
        ...all.filter((one) => hides(one) && (one.scrollWidth > one.clientWidth + 1
            || one.scrollHeight > one.clientHeight + 1)).map((one) => `cut off: ${said(one)}`),
        ...texts.filter(sticks_out).map((text) => `beyond its box: ${text.data.slice(0, 80)}`),
    ];
}"""


def cut(page: Page, widths: Sequence[int] = WIDTHS, *, letters_twice: bool = False) -> list[str]:
    """Return the elements that do not fit at one of the widths; the window keeps the last width."""
    if letters_twice:
        page.evaluate(TWICE)
    wrong = []
    for width in widths:
        page.set_viewport_size({"width": width, "height": 900})
        wrong += [f"at {width} {one}" for one in page.evaluate(_CUT)]
    if letters_twice:
        page.evaluate(_AS_IT_WAS)
    return wrong
