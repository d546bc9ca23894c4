"""A walk through a page with the Tab key only, and the faults found on it.

Tab focuses each control once, in reading order. The focused control is inside the window and not
covered, and has an outline of 3 px that stands out. After the last control the focus leaves the
page.
"""

from playwright.sync_api import Page

PARTS = 3  # parts of a date field that Tab reaches after the first
# Stored in the page under one name. ``stops`` are the elements that Tab reaches, in order; in a
# group of radio buttons that is the selected one, or else the first.
_BEGIN = """() => {
    const used = 'a, button, input, select, textarea, summary, [tabindex], [contenteditable]';
    const seen = (one) => one.getClientRects().length && !one.disabled && one.type !== 'hidden';
    const group = (one) => [...document.querySelectorAll('input[type=radio]')].filter(
        (other) => other.name === one.name && other.form === one.form && seen(other));
    const leads = (one) => one.type !== 'radio'
        || one === (group(one).find((other) => other.checked) || group(one)[0]);
    const folded = [...document.querySelectorAll('details:not([open])')];
    folded.forEach((one) => { one.open = true; });
    const stops = [...document.querySelectorAll(used)].filter(
        (one) => seen(one) && one.tabIndex >= 0 && leads(one));
    const ground = (one) => {
        const colour = one ? getComputedStyle(one).backgroundColor : 'rgb(255, 255, 255)';
        return /, 0\\)$/.test(colour) ? ground(one.parentElement) : colour;
    };
    const light = (colour) => {
        const [red, green, blue] = colour.match(/[\\d.]+/g).map((part) => part / 255).map(
            (part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const stands_out = (one) => {
        const colours = [getComputedStyle(one).outlineColor, ground(one.parentElement)];
        const [low, high] = colours.map(light).sort((a, b) => a - b);
        return (high + 0.05) / (low + 0.05) >= 3;
    };
    const uncovered = (one) => {
        const box = one.getClientRects()[0];
        const top = document.elementFromPoint(box.left + box.width / 2,
            Math.min(Math.max(box.top, 0) + 5, box.top + box.height / 2));
        return top && (one.contains(top) || top.contains(one));
    };
    const look = () => {
        const one = document.activeElement;
        const style = getComputedStyle(one), box = one.getBoundingClientRect(), wrong = [];
        if (one.tabIndex > 0) wrong.push('has a place of its own in the order');
        if (style.outlineStyle === 'none' || parseFloat(style.outlineWidth) < 3)
            wrong.push('has no outline');
        else if (!stands_out(one)) wrong.push('has an outline that does not stand out');
        if (box.bottom <= 0 || box.top >= innerHeight || box.right <= 0 || box.left >= innerWidth)
            wrong.push('is out of the window');
        else if (!uncovered(one)) wrong.push('is covered');
        return [stops.indexOf(one), one.outerHTML.slice(0, 90), wrong];
    };
    const fold = () => folded.forEach((one) => { one.open = false; });
    const met = [];  // what has the focus after each Tab
    const note = (event) => { if (event.key === 'Tab') met.push(look()); };
    addEventListener('keyup', note, true);
    const end = () => { removeEventListener('keyup', note, true); fold(); return met; };
    window.walk = {stops, end};
    const start = document.createElement('span');  // Tab goes on from where it was
    start.tabIndex = -1;
    document.body.prepend(start);
    start.focus();
    start.remove();
    scrollTo(0, 0);
    return stops.map((one) => one.outerHTML.slice(0, 90));
}"""
_BACK = """() => walk.stops.flatMap((one, number) => {
    const before = walk.stops[number - 1];
    return before && !before.matches('.skip')
        && one.getBoundingClientRect().bottom <= before.getBoundingClientRect().top
        ? [one.outerHTML.slice(0, 90)] : [];
})"""
# Elements that react to clicks but are not native controls, on which keys work automatically.
_OF_NO_KIND = """() => [...document.querySelectorAll('[onclick], [role=button], [role=link], '
        + '[role=checkbox], [role=radio], [role=tab], a:not([href])')]
    .map((one) => one.outerHTML.slice(0, 90))"""
_FOLDED = """() => document.querySelectorAll('details').forEach((one) => { one.open = false; })"""


def walk(page: Page) -> list[str]:
    """Return the faults of this page's Tab order, with everything unfolded."""
    stops: list[str] = page.evaluate(_BEGIN)
    wrong = [f"takes no keys: {one}" for one in page.evaluate(_OF_NO_KIND)]
    wrong += [f"is above what comes before it: {one}" for one in page.evaluate(_BACK)]
    for stop in stops:
        for _ in range(1 + PARTS * (' type="date"' in stop)):
            page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    met: list[tuple[int, str, list[str]]] = page.evaluate("walk.end()")
    after = iter(met)
    found: tuple[int, str, list[str]] = (-1, "", [])
    for number, expected in enumerate(stops):
        for _ in range(1 + PARTS * (' type="date"' in found[1])):
            found = next(after)
            if found[0] == number:
                break
        if found[0] != number:
            return [*wrong, f"Tab leads to {found[1]} and not to {expected}"]
        wrong += [f"{fault}: {found[1]}" for fault in found[2]]
    # A browser with a window of its own puts the focus there, and the page notices nothing.
    last = next(after, (-1, "", []))[0]
    return wrong if last in (-1, 0) else [*wrong, f"the focus stays at the end, at {stops[last]}"]


def unfold(page: Page) -> list[str]:
    """Return elements that Enter does not open, or the space bar does not close and open."""
    page.evaluate(_FOLDED)
    wrong = []
    for summary in page.locator("summary").all():
        if not summary.is_visible():
            continue
        summary.focus()
        for key, opened in (("Enter", True), ("Space", False), ("Space", True)):
            page.keyboard.press(key)
            if summary.evaluate("(one) => one.parentElement.open") != opened:
                wrong.append(f"{key} does nothing: {summary.inner_text()}")
    return wrong


def skip(page: Page) -> list[str]:
    """Return a fault if the first link of this page does not lead to the main part."""
    page.evaluate(_BEGIN)
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    there = page.evaluate("document.activeElement === document.querySelector('main')")
    return [] if there else ["the first link does not lead to the main part"]
