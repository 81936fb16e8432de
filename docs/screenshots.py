#!/usr/bin/env python3
"""Takes a picture of every page of the portal: in light, in dark, and at the width of a phone.

    docs/screenshots.py OUT [--tidings target/debug/tidings] [--events 300] [--only NAME …]
    docs/screenshots.py OUT --readme docs/images

Starts a server of its own, has `tidings demo` fill it, opens the pages in a headless Chromium (chromedriver has to be
installed), and ends both. OUT gets NAME-light.png, NAME-dark.png and NAME-phone.png. Also tells, for each page, what
is wider than the window, and what the browser complained of. Nothing but the standard library is needed.

With --readme it takes the README's pictures only, cuts them, and reduces them to few colours (ImageMagick's `convert`).
"""

import argparse
import base64
import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request

KEY = "sk_screenshots_0123456789abcdef"
LOOKS = {  # name: (dark, width, height)
    "light": (False, 1280, 900),
    "dark": (True, 1280, 900),
    "phone": (False, 390, 844),
}
# The README's pictures: the look, and how much of the page is kept.
README = {"overview": ("light", 866), "delivery-flaky": ("light", 860), "why-paused": ("light", 460), "audit-entry": ("dark", 780)}
# What is done on a page before its picture is taken.
ACTS = {
    "menu": "document.querySelector('.menu').open = true",
    "key-made": "const form = document.querySelector('form.tall'); form.elements.name.value = 'billing service';"
                "form.querySelector('[value=\"events:write\"]').checked = true; form.submit()",
    "keys": "document.querySelector('main details').open = true",
    "checkpoints": "document.querySelector('main details').open = true",
}
# What sticks out of the window sideways, though nothing around it scrolls.
TOO_WIDE = """
const wide = [...document.querySelectorAll('body *')].filter((item) =>
  item.getBoundingClientRect().right > document.documentElement.clientWidth + 1 && !item.closest('.scroll, pre, svg, nav, details:not([open])'));
return wide.slice(0, 5).map((item) => item.tagName + '.' + item.className);
"""


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def call(method, url, body=None, key=None):
    headers = {"content-type": "application/json"}
    if key:
        headers["authorization"] = f"Bearer {key}"
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, method=method, data=data, headers=headers)
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def await_answer(url):
    for _ in range(600):
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    sys.exit(f"nobody answers at {url}")


@contextlib.contextmanager
def running(command, **options):
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, **options)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(60)


class Browser:
    def __init__(self, driver, dark, width, height):
        self.driver = driver
        arguments = ["--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--hide-scrollbars",
                     f"--window-size={width},{height}"]
        wanted = {"browserName": "chrome", "goog:chromeOptions": {"args": arguments},
                  "goog:loggingPrefs": {"browser": "ALL"}}
        made = call("POST", f"{driver}/session", {"capabilities": {"alwaysMatch": wanted}})
        self.session = f"{driver}/session/{made['value']['sessionId']}"
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.devtools("Emulation.setEmulatedMedia", {"features": [scheme]})
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self.devtools("Emulation.setDeviceMetricsOverride", size)

    def ask(self, path, body):
        return call("POST", f"{self.session}/{path}", body)["value"]

    def devtools(self, command, params):
        return self.ask("goog/cdp/execute", {"cmd": command, "params": params})

    def run(self, script):
        return self.ask("execute/sync", {"script": script, "args": []})

    def open(self, url):
        self.ask("url", {"url": url})

    def sign_in(self, base):
        self.open(f"{base}/portal/sign-in")
        self.run(f"document.getElementById('key').value = {json.dumps(KEY)}")
        self.run("document.querySelector('form').submit()")
        for _ in range(100):
            if self.run("return location.pathname") == "/portal":
                return
            time.sleep(0.1)
        sys.exit("signing in led nowhere")

    def settle(self):
        """Waits until a form that was sent has led somewhere."""
        for _ in range(20):
            time.sleep(0.1)
            if self.run("return document.readyState") == "complete":
                return

    def complaints(self):
        return [line["message"] for line in self.ask("se/log", {"type": "browser"})]

    def picture(self, path):
        shot = self.devtools("Page.captureScreenshot", {"format": "png", "captureBeyondViewport": True})
        path.write_bytes(base64.b64decode(shot["data"]))

    def close(self):
        call("DELETE", self.session)


def pages(base, told):
    """Every page, by a name of its own."""
    def newest(path):
        found = call("GET", f"{base}{path}", key=KEY)["data"]
        return found[0]["id"] if found else None

    sights = {sight["what"]: sight["url"] for sight in told["look_at"]}
    by_name = {endpoint["description"].split(";")[0]: endpoint["id"] for endpoint in told["endpoints"]}
    organizations = call("GET", f"{base}/organizations?limit=10&search=Larkspur", key=KEY)["data"]
    trail = organizations[0]["id"]
    # One replay, so that the pages of replays have something to show.
    asked = {"webhook_endpoint_id": by_name["Mail service"], "scope": "all", "range_start": "2020-01-01T00:00:00Z", "rate": 20}
    replay = newest("/replays?limit=1") or call("POST", f"{base}/replays", asked, key=KEY)["id"]
    exhausted = newest("/deliveries?state=exhausted&limit=1")
    deliveries = call("GET", f"{base}/deliveries?state=delivered&limit=1&webhook_endpoint_id={by_name['Billing backend']}",
                      key=KEY)["data"]
    found = {
        "overview": "/portal",
        "menu": "/portal",
        "events": "/portal/events",
        "events-none": "/portal/events?type=nothing.like.this",
        "event": f"/portal/events/{deliveries[0]['event_id']}",
        "why-delivered": f"/portal/events/{deliveries[0]['event_id']}/why?endpoint={by_name['Billing backend']}",
        "why-paused": sights.get("why it waits"),
        "why-no-pattern": f"/portal/events/{deliveries[0]['event_id']}/why?endpoint={by_name['Warehouse']}",
        "endpoints": "/portal/endpoints",
        "endpoint": f"/portal/endpoints/{by_name['Billing backend']}",
        "endpoint-dead": f"/portal/endpoints/{by_name['Old CRM']}",
        "endpoint-gone": f"/portal/endpoints/{by_name['Former partner']}",
        "endpoint-new": "/portal/endpoints/new",
        "endpoint-edit": f"/portal/endpoints/{by_name['Billing backend']}/edit",
        "deliveries": "/portal/deliveries",
        "delivery-flaky": sights.get("a delivery with its attempts"),
        "delivery-paused": sights.get("a delivery that waits"),
        "delivery-exhausted": exhausted and f"/portal/deliveries/{exhausted}",
        "audit": f"/portal/audit?trail={trail}",
        "audit-own": "/portal/audit",
        "audit-entry": f"/portal/audit/entries/{newest(f'/audit_logs/events?limit=1&organization_id={trail}')}",
        "checkpoints": f"/portal/audit/checkpoints?trail={trail}",
        "schemas": "/portal/audit/schemas",
        "schema": "/portal/audit/actions/invoice.refunded",
        "schema-new": "/portal/audit/schemas/new?action=invoice.refunded",
        "exports": "/portal/audit/exports",
        "replays": "/portal/replays",
        "replay": f"/portal/replays/{replay}",
        "replay-new": f"/portal/replays/new?endpoint={by_name['Mail service']}",
        "settings": "/portal/settings",
        "configuration": "/portal/settings/configuration",
        "keys": "/portal/settings/keys",
        "key-new": "/portal/settings/keys/new",
        "key-made": "/portal/settings/keys/new",
        "organizations": "/portal/settings/organizations",
        "organization": f"/portal/settings/organizations/{trail}",
        "not-found": "/portal/events/event_01ARZ3NDEKTSV4RRFFQ69G5FAV",
    }
    return {name: url for name, url in found.items() if url}


def reduce(out, images):
    """Makes the README's pictures of those that were taken."""
    images.mkdir(parents=True, exist_ok=True)
    for name, (look, height) in README.items():
        command = ["convert", out / f"{name}-{look}.png", "-crop", f"1280x{height}+0+0", "+repage", "+dither",
                   "-colors", "256", "-strip", "-define", "png:compression-level=9", f"PNG8:{images / name}.png"]
        subprocess.run(command, check=True)


def take(driver, base, told, out, only):
    member = next(sight["url"] for sight in told["look_at"] if "opens once" in sight["what"])
    for look, (dark, width, height) in LOOKS.items():
        browser = Browser(driver, dark, width, height)
        try:
            places = {"sign-in": "/portal/sign-in", "link": member, **pages(base, told)}
            for name, url in places.items():
                if name == "overview":
                    browser.sign_in(base)
                if only and name not in only:
                    continue
                browser.open(url if url.startswith("http") else base + url)
                if name in ACTS:
                    browser.run(ACTS[name])
                    browser.settle()
                browser.picture(out / f"{name}-{look}.png")
                for complaint in browser.complaints():
                    if "not-found" not in name:
                        print(f"{name} ({look}): {complaint}")
                for item in browser.run(TOO_WIDE):
                    print(f"{name} ({look}): too wide: {item}")
        finally:
            browser.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--tidings", default="target/debug/tidings")
    parser.add_argument("--events", default="300")
    parser.add_argument("--only", nargs="*", default=[])
    parser.add_argument("--readme", type=pathlib.Path, metavar="IMAGES")
    options = parser.parse_args()
    if options.readme:
        options.only = list(README)
    options.out.mkdir(parents=True, exist_ok=True)
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        os.chmod(folder, 0o755)  # as root, Postgres runs as another user and has to get through
        port, driver_port = free_port(), free_port()
        base, driver = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{driver_port}"
        environment = {**os.environ, "TIDINGS_BOOTSTRAP_API_KEY": KEY, "TIDINGS_API_KEY": KEY, "TIDINGS_URL": base}
        environment.pop("DATABASE_URL", None)
        log = stack.enter_context(open(options.out / "server.log", "w"))
        serve = [options.tidings, "serve", "--listen", f"127.0.0.1:{port}", "--data-dir", f"{folder}/data",
                 "--egress-allow", "127.0.0.1"]
        stack.enter_context(running(serve, env=environment, stderr=log))
        stack.enter_context(running(["chromedriver", f"--port={driver_port}"], stderr=subprocess.DEVNULL))
        await_answer(f"{base}/readyz")
        await_answer(f"{driver}/status")
        demo = [options.tidings, "demo", "--json", "--events", options.events, "--over", "15s", "--stay", "20s",
                "--receive-on", f"127.0.0.1:{free_port()}"]
        told = json.loads(subprocess.run(demo, env=environment, check=True, stdout=subprocess.PIPE).stdout)
        take(driver, base, told, options.out, options.only)
    if options.readme:
        reduce(options.out, options.readme)


if __name__ == "__main__":
    main()
