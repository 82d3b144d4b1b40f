"""Debian's Chromium without a window, spoken to by the DevTools protocol over a pipe: messages of JSON, each ended by a
zero byte. What goes wrong in a page (exceptions, errors of the console, requests that fail) is kept in `faults`."""
import base64
import json
import os
import select
import shutil
import subprocess
import time

from play.deadline import FACTOR

FLAGS = ["--headless=new", "--no-first-run", "--no-default-browser-check", "--disable-gpu", "--disable-extensions",
         "--disable-background-networking", "--disable-component-update", "--disable-sync", "--mute-audio", "--hide-scrollbars",
         "--force-color-profile=srgb", "--font-render-hinting=none", "--remote-debugging-pipe"]
SECONDS = 60


class Browser:
    def __init__(self, folder):
        self.folder = folder
        to_read, self._write = os.pipe()
        self._read, to_write = os.pipe()

        def place():  # where Chromium expects them
            in_fd, out_fd = os.dup(to_read), os.dup(to_write)
            os.dup2(in_fd, 3)
            os.dup2(out_fd, 4)

        # Root, in whose name tests run in containers, has no sandbox of Chromium's.
        sandbox = ["--no-sandbox"] if os.geteuid() == 0 else []
        self._log = open(folder / "chromium.log", "wb")
        self.process = subprocess.Popen([shutil.which("chromium") or "chromium", *FLAGS, *sandbox,
                                         f"--user-data-dir={folder / 'profile'}", "about:blank"],
                                        close_fds=False, preexec_fn=place, stdout=self._log, stderr=self._log)
        os.close(to_read)
        os.close(to_write)
        self._buffer = b""
        self._last_id = 0
        self._pages = {}

    def close(self):
        try:
            self.command("Browser.close")
            self.process.wait(10 * FACTOR)
        except (AssertionError, OSError, subprocess.TimeoutExpired):
            self.process.kill()
            self.process.wait()
        for fd in (self._read, self._write):
            os.close(fd)
        self._log.close()

    def _message(self, end):
        while b"\0" not in self._buffer:
            left = end - time.monotonic()
            if left <= 0 or not select.select([self._read], [], [], left)[0]:
                return None
            data = os.read(self._read, 1 << 20)
            assert data, f"Chromium ended: {(self.folder / 'chromium.log').read_text(errors='replace')[-2000:]}"
            self._buffer += data
        text, self._buffer = self._buffer.split(b"\0", 1)
        return json.loads(text)

    def _take(self, message):
        page = self._pages.get(message.get("sessionId"))
        if page and "method" in message:
            page.on_event(message["method"], message["params"])

    def command(self, method, session=None, **params):
        self._last_id += 1
        asked = {"id": self._last_id, "method": method, "params": params, **({"sessionId": session} if session else {})}
        os.write(self._write, json.dumps(asked).encode() + b"\0")
        end = time.monotonic() + SECONDS * FACTOR
        while True:
            message = self._message(end)
            assert message is not None, f"no answer to {method}"
            if message.get("id") == asked["id"]:
                assert "error" not in message, f"{method}: {message['error']}"
                return message["result"]
            self._take(message)

    def listen(self, seconds=0.0):
        """Takes what has come, and what comes within that time."""
        end = time.monotonic() + seconds
        while (message := self._message(end)) is not None:
            self._take(message)

    def page(self):
        return Page(self)


class Page:
    def __init__(self, browser):
        self.browser = browser
        self.faults = []
        target = browser.command("Target.createTarget", url="about:blank")["targetId"]
        self.session = browser.command("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        browser._pages[self.session] = self
        for domain in ("Page", "Runtime", "Log", "Network", "Accessibility"):
            self.command(f"{domain}.enable")

    def command(self, method, **params):
        return self.browser.command(method, self.session, **params)

    def on_event(self, method, params):
        if method == "Runtime.exceptionThrown":
            self.faults.append(json.dumps(params["exceptionDetails"]))
        elif method == "Runtime.consoleAPICalled" and params["type"] in ("error", "warning", "assert"):
            self.faults.append(json.dumps(params["args"]))
        elif method == "Log.entryAdded" and params["entry"]["level"] in ("error", "warning"):
            self.faults.append(f"{params['entry']['text']} {params['entry'].get('url')}")

    def show(self, width, height=1000, scheme="light"):
        self.command("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.command("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme},
                                                              {"name": "prefers-reduced-motion", "value": "reduce"}])

    def go(self, url):
        self.command("Page.navigate", url=url)
        self.wait("document.readyState === 'complete'")

    def value(self, expression):
        """Of an expression of JavaScript, in the page."""
        done = self.command("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in done, done["exceptionDetails"]
        return done["result"].get("value")

    def wait(self, expression, seconds=20, what=None):
        end = time.monotonic() + seconds * FACTOR
        while True:
            value = self.value(expression)
            if value:
                return value
            assert time.monotonic() < end, f"not within {seconds} s: {what or expression}"
            self.browser.listen(0.1)

    def text(self, selector):
        return self.value(f"document.querySelector({json.dumps(selector)})?.innerText")

    def press(self, key, code=None):
        text = {"Enter": "\r"}.get(key)
        common = {"key": key, "code": code or key, "windowsVirtualKeyCode": {"Tab": 9, "Enter": 13, " ": 32}.get(key, 0)}
        self.command("Input.dispatchKeyEvent", type="keyDown", **common, **({"text": text} if text else {}))
        self.command("Input.dispatchKeyEvent", type="keyUp", **common)

    def picture(self, file):
        """All of the page, not only what fits the window."""
        size = self.command("Page.getLayoutMetrics")["cssContentSize"]
        shot = self.command("Page.captureScreenshot", captureBeyondViewport=True,
                            clip={"x": 0, "y": 0, "width": size["width"], "height": size["height"], "scale": 1})
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(base64.b64decode(shot["data"]))
