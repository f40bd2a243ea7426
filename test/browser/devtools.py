"""A headless Chromium, driven over the DevTools protocol (https://chromedevtools.github.io/devtools-protocol/).

The protocol goes through two pipes, descriptors 3 and 4 of the browser, as JSON texts that end with a zero byte: no
port, and nothing but the standard library. The browser ends when its pipe is closed; its files are in a directory that
the caller removes. Every wait is for an answer or an event, with a deadline.
"""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import threading
import time

NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


def find():
    """The path of a browser, or None."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Timeout(Exception):
    """What was waited for has not happened in time."""


class Browser:
    def __init__(self, directory, limit):
        """Starts the browser. `directory`: an existing one for its files; `limit`: seconds for any wait."""
        self.limit = limit
        self.condition = threading.Condition()
        self.answers = {}
        self.events = []  # (method, parameters), of all pages
        self.number = 0
        self.ended = False
        for_child, self.output = map(self._high, os.pipe())
        self.input, from_child = map(self._high, os.pipe())

        def take_pipes():
            os.dup2(for_child, 3)
            os.dup2(from_child, 4)

        options = ["--headless=new", "--remote-debugging-pipe", f"--user-data-dir={directory}/profile",
                   "--no-first-run", "--disable-gpu", "--disable-extensions", "--disable-background-networking",
                   "--disable-breakpad", "--disable-dev-shm-usage", "--disable-sync", "--no-proxy-server",
                   "--window-size=1280,900"]
        if os.geteuid() == 0:
            options.append("--no-sandbox")
        environment = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
        environment |= dict.fromkeys(("HOME", "TMPDIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"), directory)
        with open(os.path.join(directory, "browser.log"), "w", encoding="utf-8") as log:
            self.process = subprocess.Popen([find(), *options, "about:blank"], stdin=subprocess.DEVNULL, stdout=log,
                                            stderr=log, env=environment, preexec_fn=take_pipes, pass_fds=(3, 4),
                                            start_new_session=True)
        os.close(for_child)
        os.close(from_child)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    @staticmethod
    def _high(descriptor):
        """The same pipe, with a descriptor that take_pipes does not overwrite."""
        high = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
        os.close(descriptor)
        return high

    def _read(self):
        rest = b""
        while chunk := os.read(self.input, 1 << 16):
            *messages, rest = (rest + chunk).split(b"\0")
            with self.condition:
                for message in map(json.loads, messages):
                    if "id" in message:
                        self.answers[message["id"]] = message
                    else:
                        self.events.append((message["method"], message["params"]))
                self.condition.notify_all()
        with self.condition:
            self.ended = True
            self.condition.notify_all()

    def call(self, method, session=None, **parameters):
        """The result of a method of the protocol."""
        self.number += 1
        number = self.number
        message = {"id": number, "method": method, "params": parameters} | ({"sessionId": session} if session else {})
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self.output, data):]
        with self.condition:
            if not self.condition.wait_for(lambda: number in self.answers or self.ended, self.limit):
                raise Timeout(f"no answer to {method} within {self.limit} s")
            if number not in self.answers:
                raise Timeout(f"the browser has ended before it answered {method}")
            answer = self.answers.pop(number)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']['message']}")
        return answer["result"]

    def open(self, url):
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        return Page(self, self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"], url)

    def mistakes(self):
        """What the console has to say: exceptions, errors of the script, blocked content. Answers of the network with
        an error status are the page's business."""
        found = []
        for method, parameters in list(self.events):
            if method == "Runtime.exceptionThrown":
                details = parameters["exceptionDetails"]
                found.append(details.get("exception", {}).get("description", details["text"]))
            if method == "Runtime.consoleAPICalled" and parameters["type"] in ("error", "warning", "assert"):
                found.append(str(parameters["args"]))
            if method == "Log.entryAdded" and parameters["entry"]["level"] in ("error", "warning") and \
                    parameters["entry"]["source"] != "network":
                found.append(parameters["entry"]["text"])
        return found

    def close(self):
        """Ends the browser and all its processes."""
        os.close(self.output)
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            pass
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()
        self.reader.join()
        os.close(self.input)


class Page:
    def __init__(self, browser, session, url):
        self.browser = browser
        self.session = session
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=url)

    def call(self, method, **parameters):
        return self.browser.call(method, self.session, **parameters)

    def evaluate(self, expression):
        """The value of an expression in the page, after its promise if it is one."""
        result = self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        if "exceptionDetails" in result:
            raise RuntimeError(result["exceptionDetails"].get("exception", {}).get("description", str(result)))
        return result["result"].get("value")

    def wait(self, condition):
        """Waits until an expression is true; it is evaluated whenever the page changes. Returns its value."""
        script = """new Promise((resolve) => {
            const check = () => {
              let value = null;
              try { value = %s; } catch (error) { return; }
              if (!value) return;
              observer.disconnect();
              resolve(value);
            };
            const observer = new MutationObserver(check);
            observer.observe(document, { subtree: true, childList: true, characterData: true, attributes: true });
            check();
          })""" % condition
        deadline = time.monotonic() + self.browser.limit
        while True:
            try:
                return self.evaluate(script)
            except RuntimeError as error:  # the document was replaced
                if time.monotonic() > deadline or "context" not in str(error).lower():
                    raise
            except Timeout:
                raise Timeout(f"not within {self.browser.limit} s: {condition}") from None

    def click(self, selector):
        """Clicks in the middle of an element."""
        x, y = self.evaluate("""(() => {
            const found = document.querySelector(%s);
            found.scrollIntoView({ block: 'center' });
            const box = found.getBoundingClientRect();
            return [box.x + box.width / 2, box.y + box.height / 2];
          })()""" % json.dumps(selector))
        for kind in ("mouseMoved", "mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def press(self, key):
        """Presses a key that has a name, such as Tab."""
        code = {"Tab": 9, "Enter": 13, "Escape": 27, "ArrowLeft": 37, "ArrowRight": 39}[key]
        text = {"text": "\r"} if key == "Enter" else {}
        for kind in ("keyDown", "keyUp"):
            self.call("Input.dispatchKeyEvent", type=kind, key=key, code=key, windowsVirtualKeyCode=code, **text)

    def type(self, selector, text):
        """Replaces the text of a field."""
        self.evaluate("(field => { field.focus(); field.select(); })(document.querySelector(%s))" %
                      json.dumps(selector))
        if text:
            self.call("Input.insertText", text=text)
        else:
            self.call("Input.dispatchKeyEvent", type="keyDown", key="Delete", code="Delete", windowsVirtualKeyCode=46)

    def emulate(self, width=1280, height=900, scheme="light"):
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                  mobile=width < 700)
        self.call("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": scheme}])
