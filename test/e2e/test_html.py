"""The HTML report in a browser: nothing is loaded, no name escapes, zoom, search, keys, themes, narrow and on paper.

Chromium runs headless on a file of the test's own. What a test wants to do in the page is a script with the page's
nonce at its end, whose result comes back in the dumped document.
"""

import base64
import html.parser
import http.server
import json
import re
import subprocess
import threading
import urllib.parse

import harness
import pytest
import snapshots

VOID = {"meta", "input", "br", "img", "link", "hr"}


class Outline(html.parser.HTMLParser):
    """Are all elements closed in order, ids and attributes unique? Counts elements; keeps the text of the body."""

    def __init__(self):
        super().__init__(convert_charrefs=True)
        self.open, self.ids, self.elements, self.text = [], set(), {}, []

    def handle_starttag(self, tag, attrs):
        names = [name for name, _ in attrs]
        assert len(names) == len(set(names)), (tag, attrs)
        assert not [name for name in names if name.startswith("on")], f"an event handler: {tag} {attrs}"
        for name, value in attrs:
            if name == "id":
                assert value not in self.ids, f"id {value} twice"
                self.ids.add(value)
        self.elements[tag] = self.elements.get(tag, 0) + 1
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open and self.open[-1] == tag, f"</{tag}> in {self.open[-3:]} at {self.getpos()}"
        self.open.pop()

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)


def outline(page):
    parser = Outline()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    return parser


def page_of(snapshot):
    return snapshots.render(snapshot, "html").decode()


@pytest.fixture
def chromium(tmp_path):
    """A function that opens a page and returns what its script, an expression or a promise, gives."""
    path = harness.need_tool("chromium")

    def run(page, *flags):
        file = tmp_path / "page.html"
        file.write_text(page)
        done = subprocess.run(
            [path, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
             "--disable-dev-shm-usage", "--hide-scrollbars", f"--user-data-dir={tmp_path / 'profile'}",
             "--virtual-time-budget=3000", *flags, file.as_uri()],
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, timeout=4 * harness.PATIENCE_S)
        if done.returncode != 0:
            raise harness.Forbidden(f"chromium does not run here: {done.stderr.decode(errors='replace')[-300:]}")
        return done.stdout.decode()

    def ask(page, script, *flags):
        nonce = re.search(r"'nonce-([0-9a-f]{32})'", page)[1]
        asking = f"""<script nonce="{nonce}">
            (async () => {{ {script} }})().then(JSON.stringify, (error) => JSON.stringify("" + error)).then((result) => {{
                document.documentElement.dataset.result = btoa(encodeURIComponent(result));
            }});
            </script></body>"""
        assert page.count("</body>") == 1
        document = run(page.replace("</body>", asking), "--dump-dom", *flags)
        found = re.search(r'data-result="([^"]*)"', document)
        assert found, document[:2000]
        return json.loads(urllib.parse.unquote(base64.b64decode(found[1]).decode()))

    run.ask = ask
    return run


# ---- without a browser ----


@pytest.mark.parametrize("snapshot", [snapshots.incident(500), snapshots.incident(500, detail=False),
                                      snapshots.incident(900, spread=60), snapshots.hostile()],
                         ids=["incident", "without detail", "many sites", "hostile"])
def test_page_is_sound(snapshot):
    page = page_of(snapshot)
    parsed = outline(page)
    assert parsed.elements["script"] == 1 and parsed.elements["style"] == 1
    assert not {"img", "link", "iframe", "object", "form", "base"} & set(parsed.elements)
    text = "".join(parsed.text)
    for label in ("WHERE", "TO", "RUNS OUT", "DONE", "NOT SEEN", "NOW", "FIX"):
        assert label in parsed.text, label
    assert "Options in force" in text and "Peers" in text and "Time in CLOSE_WAIT" in text
    assert ("detail=1 adds them" in text) == ("sockets" not in snapshot)


def test_every_stack_is_there_without_a_script():
    snapshot = snapshots.incident(500)
    text = "".join(outline(re.sub(r"(?s)<script.*</script>", "", page_of(snapshot))).text)
    for site in snapshot["sites"]:
        assert site["blame"] in text
    for frame in snapshot["sites"][0]["frames"]:
        assert frame["text"] in text


# ---- in one ----


def test_hostile_names_do_nothing(chromium):
    page = page_of(snapshots.hostile())
    seen = chromium.ask(page, """
        return {title: document.title, images: document.images.length, scripts: document.scripts.length,
                h1: document.querySelector("h1").textContent,
                frame: document.querySelector(".f.blame").title,
                sockets: [...document.querySelectorAll("summary")].some((s) => s.textContent.includes("the 50 quietest of 400"))};
    """)
    shown = snapshots.HOSTILE.replace("\u202e", "\\xe2\\x80\\xae")
    assert seen["title"] == f"LEAK: {shown} (pid 4242)"
    assert seen["images"] == 0 and seen["scripts"] == 2
    assert seen["h1"] == shown
    assert seen["frame"].startswith(shown)
    assert seen["sockets"]


def test_page_may_not_load_or_run_anything(chromium):
    asked = []

    class Refuser(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Refuser)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        seen = chromium.ask(page_of(snapshots.incident(400)), f"""
            const blocked = [];
            document.addEventListener("securitypolicyviolation", (event) => blocked.push(event.effectiveDirective));
            const before = performance.getEntriesByType("resource").length;
            const image = new Image();
            image.src = "http://127.0.0.1:{server.server_port}/image";
            await fetch("http://127.0.0.1:{server.server_port}/fetch").catch(() => 0);
            const script = document.createElement("script");
            script.textContent = "document.title = 'owned'";
            document.body.append(script);
            document.body.insertAdjacentHTML("beforeend", "<p onclick=\\"document.title = 'owned'\\" id=bait>x</p>");
            document.getElementById("bait").click();
            await new Promise((done) => setTimeout(done, 200));
            return {{before, title: document.title, blocked: blocked.sort()}};
        """)
    finally:
        server.shutdown()
    assert asked == []
    assert seen["before"] == 0 and seen["title"] != "owned"
    assert seen["blocked"] == ["connect-src", "img-src", "script-src-attr", "script-src-elem"]


def test_zoom_search_and_measure(chromium):
    snapshot = snapshots.incident(1000)
    seen = chromium.ask(page_of(snapshot), """
        const frames = [...document.querySelectorAll(".f")];
        const of = (part) => frames.filter((f) => f.title.includes(part));
        const box = (f) => f.getBoundingClientRect();
        const graph = box(document.getElementById("flame"));
        const share = (f) => f.hidden ? 0 : box(f).width / graph.width;
        const result = {};
        const whole = document.getElementById("whole");
        const shown = document.getElementById("shown");
        result.start = of(".put(").map(share);
        const flow = of("FlowControl.acquire")[0];
        flow.click();
        result.zoomed = [share(flow), share(of(".put(")[0]), share(frames[0]), whole.disabled, shown.textContent];
        whole.click();
        result.back = [share(of(".put(")[0]), whole.disabled];
        const search = document.getElementById("search");
        search.value = "STORAGEGATEWAY";
        search.dispatchEvent(new Event("input"));
        result.found = [document.querySelectorAll(".found").length, document.getElementById("found").textContent];
        document.querySelector("button[data-measure='2']").click();
        result.open = [share(of("Push.flush")[0]), document.getElementById("measured").textContent,
                       document.getElementById("found").textContent];
        result.overlaps = frames.some((f) => frames.some((g) => f !== g && !f.hidden && !g.hidden &&
            box(f).top === box(g).top && box(f).left < box(g).right - 1 && box(g).left < box(f).right - 1));
        return result;
    """, "--window-size=1200,900")
    stuck = {site["blame"]: site["stuck"] for site in snapshot["sites"]}
    total = snapshot["totals"]["stuck"]
    put = next(n for blame, n in stuck.items() if ".put(" in blame)
    flow = next(n for blame, n in stuck.items() if "acquire" in blame)
    assert seen["start"] == [pytest.approx(put / total, abs=0.005)]
    assert seen["zoomed"][:4] == [pytest.approx(1), 0, pytest.approx(1), False]
    assert f": {flow} stuck, {100 * flow // total} % of all, 100 % of what is shown" in seen["zoomed"][4]
    assert seen["back"] == [pytest.approx(put / total, abs=0.005), True]
    probes = next(n for blame, n in stuck.items() if "probe" in blame)
    assert seen["found"] == [2, f"{put + probes} stuck, {100 * (put + probes) // total} %"]
    assert seen["open"] == [pytest.approx(0.03, abs=0.005), "open", "800 open, 80 %"]
    assert not seen["overlaps"]


def test_keys_and_themes(chromium):
    seen = chromium.ask(page_of(snapshots.incident(1000)), """
        const result = {at: []};
        const press = (key) => {
            (document.activeElement || document.body).dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
            result.at.push(document.activeElement.title || document.activeElement.id);
        };
        document.querySelector(".f").focus();
        for (const key of ["ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown", "ArrowRight", "Enter", "ArrowUp", "/", "Escape"])
            press(key);
        result.stops = document.querySelectorAll(".f[tabindex='0']").length;
        result.whole = document.getElementById("whole").disabled;
        const paper = () => getComputedStyle(document.body).backgroundColor;
        const theme = document.getElementById("theme");
        result.papers = [paper()];
        theme.click();
        result.papers.push(paper());
        theme.click();
        result.papers.push(paper());
        document.getElementById("unfold").click();
        result.open = document.querySelectorAll("details.site[open]").length;
        return result;
    """, "--window-size=1200,900")
    assert [at.rpartition(".")[2] and at.split("(")[0].rpartition(".")[2] for at in seen["at"]] == [
        "run", "runWorker", "run", "put", "acquire", "acquire", "run", "search", "search"]
    assert seen["stops"] == 1 and seen["whole"]
    assert seen["papers"][0] == seen["papers"][2] != seen["papers"][1]
    assert seen["open"] == 5


def test_nothing_sticks_out_of_a_narrow_window(chromium):
    seen = chromium.ask(page_of(snapshots.hostile()), """
        document.querySelectorAll("details").forEach((details) => (details.open = true));
        return [document.documentElement.scrollWidth, innerWidth];
    """, "--window-size=390,900")
    assert seen[0] <= seen[1] < 720  # the style's own bound for narrow


def test_paper(chromium, tmp_path):
    chromium(page_of(snapshots.incident(500)), f"--print-to-pdf={tmp_path / 'page.pdf'}")
    assert (tmp_path / "page.pdf").read_bytes().startswith(b"%PDF-")
