"""The live page as people have it before them."""
import re

import pytest

from conftest import MARKUP, PICTURES
from play.live import Live
from play.manifests import backend, route, rule, world

IS_LIVE = "document.getElementById('state-text').textContent === 'Live'"
SHAPES = [(1600, "light"), (1600, "dark"), (1000, "light"), (720, "dark"), (400, "light"), (400, "dark"), (320, "light")]

# What stands out of its room, as (element, right edge): nothing may, but for what scrolls by itself.
OVERFLOWING = """[...document.querySelectorAll('body *')].filter((e) => {
  const box = e.getBoundingClientRect();
  return box.width > 0 && !e.closest('nav, .skip, thead') && (box.right > innerWidth + 0.5 || box.left < -0.5);
}).map((e) => `${e.tagName}.${e.className} ${e.getBoundingClientRect().right} ${e.textContent.slice(0, 60)}`)"""

# Cells whose text is wider than they are: words over words.
CROWDED = """[...document.querySelectorAll('td, dd, dt, li, p, h2')].filter((e) =>
  e.offsetParent && !e.closest('nav, .unseen') && e.scrollWidth > e.clientWidth + 1 && e.clientWidth > 0)
  .map((e) => `${e.tagName} ${e.scrollWidth} > ${e.clientWidth} ${e.textContent.slice(0, 60)}`)"""

# Times and codes that are broken into lines.
BROKEN = "[...document.querySelectorAll('.time, .number')].filter((e) => e.offsetParent && e.firstChild && (() => { const r = document.createRange(); r.selectNodeContents(e); return new Set([...r.getClientRects()].map((c) => Math.round(c.bottom / 6))).size > 1; })()).map((e) => e.textContent)"

# Contrast of every text with what is behind it (WCAG 2.2, 1.4.3), as those below AA.
PALE = """(() => {
  const parse = (c) => { const m = c.match(/[\\d.]+/g).map(Number); return { rgb: m.slice(0, 3), a: m[3] ?? 1 }; };
  const light = (rgb) => { const [r, g, b] = rgb.map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor); if (c.a > 0) return c.rgb; }
    return [255, 255, 255]; };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    if (!e.offsetParent || ![...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim())) continue;
    const style = getComputedStyle(e);
    const [a, b] = [light(parse(style.color).rgb), light(behind(e))].sort((x, y) => y - x);
    const ratio = (a + 0.05) / (b + 0.05);
    const isLarge = parseFloat(style.fontSize) >= 24;
    if (ratio < (isLarge ? 3 : 4.5)) found.push(`${ratio.toFixed(2)} ${e.tagName}.${e.className} ${e.textContent.slice(0, 40)}`);
  }
  return found;
})()"""


def figure(page, label):
    return page.value(f"[...document.querySelectorAll('#figures dt')].find((e) => e.textContent === {label!r})"
                      ".parentElement.innerText")


def table(page, name):
    """Rows of cells, as read."""
    return page.value(f"[...document.querySelectorAll('#{name}-table tbody tr')].map((r) => [...r.cells].map((c) => c.innerText))")


def opened(page, world, width=1600, scheme="light"):
    page.show(width, scheme=scheme)
    page.go(world.url)
    page.wait(IS_LIVE)
    page.wait("document.querySelectorAll('#tree li').length > 3")
    return page


def test_it_follows_the_traffic_and_says_nothing_to_the_console(page, full_world):
    opened(page, full_world)
    before = page.text("#refusals-count")
    full_world.live()
    page.wait("document.getElementById('refusals-table').innerText.includes('token_malformed')")
    page.wait("document.getElementById('limits-table').innerText.includes('of 10,000 tokens')")
    page.wait("document.getElementById('usage-table').innerText.includes('tenant-b')")
    page.wait("[...document.querySelectorAll('#figures dd')].some((e) => / of [1-9]/.test(e.textContent))")
    page.wait("document.getElementById('history-all').getAttribute('points').includes(' ')")
    assert page.text("#refusals-count") != before
    assert "/s" in figure(page, "Requests") and "ms" in figure(page, "Duration p99")
    backends = page.wait("document.getElementById('backends-table').innerText")
    assert "orders" in backends and "unhealthy" in backends
    why = page.text("#attention-list")
    assert "gone" in why and "cert" in why and "not well" in why, why
    assert "No such" not in why
    troubles = page.text("#troubles")
    assert "It names a Gateway or listener" in troubles or "No listener of this name" in troubles
    assert page.value("document.title") == "✖ Tollgate"
    said = page.text("#attention-count")
    assert re.fullmatch("[1-9] urgent, [1-9] to look at", said), said
    assert page.faults == []


def test_a_refusal_has_the_words_of_its_answer(page, full_world):
    opened(page, full_world)
    reply = full_world.gw.request("/orders")
    page.wait("document.getElementById('refusals-table').innerText.includes('token_missing')")
    row = next(r for r in table(page, "refusals") if "token_missing" in r[1])
    assert reply.json["error"]["message"] in row[2] and "401" in row[1] and "GET /orders" in row[3]
    # Its link asks for the explanation, which has the same words.
    find = "[...document.querySelectorAll('#refusals-table tr')].find((r) => r.innerText.includes('token_missing')).querySelector('a')"
    link = page.value(f"{find}.href")
    assert page.value(f"{find}.getAttribute('aria-label')") == "explain GET /orders"
    assert page.faults == []
    page.go(link)
    said = page.wait("document.body.innerText")
    assert "code: token_missing\n" in said and f"sentence: {reply.json['error']['message']}\n" in said, said


@pytest.mark.parametrize("width, scheme", SHAPES)
def test_it_is_readable(page, full_world, width, scheme):
    opened(page, full_world, width, scheme)
    full_world.live()
    page.wait("document.getElementById('refusals-table').innerText.includes('token_malformed')")
    page.wait("document.getElementById('usage-table').innerText.includes('<img')")
    page.value("document.querySelector('details').open = true")
    page.browser.listen(1.5)
    page.picture(PICTURES / f"page-{width}-{scheme}.png")
    assert page.value("document.documentElement.scrollWidth") <= width
    assert page.value(OVERFLOWING) == []
    assert page.value(CROWDED) == []
    assert page.value(BROKEN) == []
    assert page.value(PALE) == []
    dark = page.value("getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number).reduce((a, b) => a + b) < 200")
    assert dark == (scheme == "dark")
    if width <= 400:
        n_shown = "[...document.querySelectorAll('#refusals-table tbody tr')].filter((r) => r.offsetParent).length"
        assert page.value(n_shown) == 6
        page.value("document.querySelector('#refusals button.all').click()")
        assert page.value(n_shown) > 6
        assert page.value(OVERFLOWING) == []
    assert page.faults == []


def test_names_stay_text(page, full_world):
    opened(page, full_world)
    page.value("window.alert = () => { window.wasFooled = true; }")
    full_world.live()
    page.wait("document.getElementById('usage-table').innerText.includes('<img')")
    page.browser.listen(1.5)
    assert any(row[0].startswith(MARKUP) for row in table(page, "usage"))
    assert any(MARKUP in row[0] for row in table(page, "limits"))
    assert page.value("document.querySelectorAll('main img, main b, main script').length") == 0
    assert page.value("window.wasFooled ?? null") is None
    assert page.faults == []


def focused(page):
    return page.value("(() => { const e = document.activeElement; return [e.tagName, e.getAttribute('href') || e.id || e.textContent]; })()")


def test_it_is_walked_by_keyboard(page, full_world):
    opened(page, full_world)
    walked = []
    for _ in range(9):
        page.press("Tab")
        walked.append(tuple(focused(page)))
        assert page.value("getComputedStyle(document.activeElement).outlineStyle") == "solid", walked[-1]
    parts = ["traffic", "backends", "credentials", "limits", "usage", "refusals", "objects"]
    assert walked == [("A", "#main"), ("BUTTON", "pause"), *[("A", f"#{part}") for part in parts]]
    # As the parts stand on the page.
    order = page.value("[...document.querySelectorAll('main section')].map((s) => s.id)")
    assert [part for part in order if part != "attention"] == parts
    page.press("Enter")
    page.wait("location.hash === '#objects' && document.getElementById('objects').getBoundingClientRect().top < innerHeight")
    page.value("document.getElementById('pause').focus()")
    page.press("Enter")
    assert page.value("document.getElementById('pause').getAttribute('aria-pressed')") == "true"
    full_world.live()
    page.browser.listen(2.5)
    assert table(page, "refusals") == [["Nothing was refused."]]
    assert "Paused" in page.text("#state")
    page.press("Enter")
    page.wait("document.getElementById('refusals-table').innerText.includes('token_malformed')")


def test_it_has_its_landmarks_and_its_tables_have_headers(page, full_world):
    opened(page, full_world, 400)
    nodes = page.command("Accessibility.getFullAXTree")["nodes"]
    roles = [node["role"]["value"] for node in nodes if not node.get("ignored")]
    for role in ("banner", "navigation", "main", "contentinfo", "status"):
        assert roles.count(role) == 1, role
    assert roles.count("region") >= 8 and roles.count("columnheader") > 20 and "meter" in roles or "table" in roles
    heads = [node["name"]["value"] for node in nodes if node["role"]["value"] == "columnheader"]
    assert "Begins anew in" in heads and "Why" in heads


def test_it_finds_a_gateway_that_has_been_started_anew(page, full_world):
    opened(page, full_world)
    full_world.gw.stop()
    page.wait("document.getElementById('state-text').textContent.startsWith('No answer since')")
    page.picture(PICTURES / "page-no-answer.png")
    full_world.gw.start()
    page.wait(IS_LIVE, 40)
    full_world.live()
    page.wait("document.getElementById('refusals-table').innerText.includes('token_malformed')")
    # That nobody answered is the browser's to say; the page itself has nothing to complain of.
    assert [fault for fault in page.faults if "ERR_" not in fault] == []


def test_it_waits_for_room(page, gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))))
    others = [Live(gw) for _ in range(8)]
    for other in others:
        other.wait(lambda parts: True)
    page.show(1600)
    page.go(f"http://127.0.0.1:{gw.admin_port}/")
    page.wait("document.getElementById('state-text').textContent.includes('as often as it may')")
    others.pop().sock.close()
    page.wait(IS_LIVE, 30)
    for other in others:
        other.sock.close()


def test_it_is_calm_when_all_is_well(page, gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))))
    page.show(1600)
    page.go(f"http://127.0.0.1:{gw.admin_port}/")
    page.wait(IS_LIVE)
    page.wait("document.querySelectorAll('#tree li').length === 4")
    for _ in range(20):
        assert gw.request("/").status == 200
    page.wait("document.getElementById('figures').innerText.includes('of 20')")
    assert page.text("#attention-list").strip() == "Nothing."
    assert page.value("document.title") == "Tollgate"
    page.picture(PICTURES / "page-calm.png")
    assert page.faults == []


def test_a_refused_reload_is_told_first(page, gateway, upstream):
    gw = gateway(world(backend("a", upstream("a")), route("r", rule("a"))))
    page.show(1600)
    page.go(f"http://127.0.0.1:{gw.admin_port}/")
    page.wait(IS_LIVE)
    gw.apply("nonsense: [", name="broken.yaml", result="failed")
    page.wait("document.querySelector('#attention-list li').innerText.includes('The last reload was refused: kept generation 1')")
    assert page.faults == []
