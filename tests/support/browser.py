"""A browser for tests, run as the command in `BROWSER`: opens an address, presses a button of the page, and follows.

`python browser.py [--chromium] [--deny] ADDRESS`. Without `--chromium` it is one in name only: plain HTTP.
"""

from __future__ import annotations

import html
import json
import re
import subprocess
import sys
import tempfile
import time
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urljoin
from urllib.request import Request, urlopen

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
ELEMENT = "element-6066-11e4-a52e-4f735466cecf"
"""The key of an element's id in answers (W3C WebDriver, section 12.1)."""


def press_by_http(address: str, button: str) -> str:
    """Press a button of the page, as a browser would; gives the text of the page that it leads to."""
    with urlopen(address, timeout=10) as answer:
        page = answer.read().decode()
    action = re.search(r'<form method="post" action="([^"]*)">', page)
    if not action:  # Sent back without a question.
        return str(page)
    fields = re.findall(r'<input type="hidden" name="([^"]*)" value="([^"]*)">', page)
    form = {name: html.unescape(value) for name, value in fields} | {"decision": button}
    with urlopen(urljoin(address, action.group(1)), urlencode(form).encode(), timeout=10) as answer:
        return str(answer.read().decode())


class WebDriver:
    """The few commands of W3C WebDriver that are needed, to Chromium's own driver."""

    def __init__(self, url: str, profile: str) -> None:
        self._url = url
        options = {"args": [*FLAGS, f"--user-data-dir={profile}"]}
        capabilities = {"alwaysMatch": {"browserName": "chrome", "goog:chromeOptions": options}}
        self._session = ""
        self._session = f"/session/{self._ask('POST', '/session', capabilities=capabilities)['sessionId']}"

    def _ask(self, method: str, path: str, **body: Any) -> Any:
        content = json.dumps(body).encode() if method == "POST" else None
        headers = {"Content-Type": "application/json"}
        request = Request(f"{self._url}{self._session}{path}", content, headers, method=method)
        try:
            with urlopen(request, timeout=150) as response:
                answer = json.load(response)["value"]
        except HTTPError as error:
            answer = json.load(error)["value"]
        if isinstance(answer, dict) and "error" in answer:
            raise RuntimeError(f"{answer['error']}: {answer['message']}")
        return answer

    def open(self, address: str) -> None:
        self._ask("POST", "/url", url=address)

    def title(self) -> str:
        return str(self._ask("GET", "/title"))

    def click(self, selector: str) -> None:
        element = self._ask("POST", "/element", using="css selector", value=selector)[ELEMENT]
        self._ask("POST", f"/element/{element}/click")

    def close(self) -> None:
        self._ask("DELETE", "")


def press_in_chromium(address: str, button: str) -> str:
    """Press a button of the page in Chromium; gives the title of the page that it leads to."""
    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile,
        subprocess.Popen(["chromedriver", "--port=0"], stdout=subprocess.PIPE, text=True) as driver,
    ):
        try:
            assert driver.stdout
            port = next(
                found.group(1) for line in driver.stdout if (found := re.search(r"successfully on port (\d+)", line))
            )
            browser = WebDriver(f"http://127.0.0.1:{port}", profile)
            try:
                browser.open(address)
                before = browser.title()
                browser.click(f"button#{button}")
                for _ in range(600):
                    if (shown := browser.title()) not in {before, ""}:
                        return shown
                    time.sleep(0.05)
                raise RuntimeError("the button leads nowhere")
            finally:
                browser.close()
        finally:
            driver.terminate()


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    button = "deny" if "--deny" in arguments else "allow"
    press = press_in_chromium if "--chromium" in arguments else press_by_http
    press(arguments[-1], button)


if __name__ == "__main__":
    main(sys.argv[1:])
