"""Firefox as a reader has it, by WebDriver BiDi (W3C): enough of it to open a page, ask it and give it files."""

import json
import re
import shutil
import subprocess
from itertools import count
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from websocket import create_connection

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
QUIET = {  # or it would ask its maker for this and that
    "app.normandy.enabled": False,
    "browser.aboutwelcome.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "network.captive-portal-service.enabled": False,
    "network.connectivity-service.enabled": False,
}


class Firefox:
    """One tab of a headless Firefox of its own; `close` it."""

    def __init__(self) -> None:
        self.profile = mkdtemp(prefix="fingerprints-")
        lines = [f"user_pref({json.dumps(key)}, {json.dumps(value)});\n" for key, value in QUIET.items()]
        Path(self.profile, "user.js").write_text("".join(lines))
        self.process = subprocess.Popen(
            [str(FIREFOX), "--headless", "--no-remote", "--profile", self.profile, "--remote-debugging-port", "0"],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        address = next(found[0] for line in self.process.stderr if (found := re.search(r"ws://\S+", line)))
        self.socket = create_connection(f"{address}/session", timeout=300, suppress_origin=True)
        self.numbers = count(1)
        self.events: list[dict[str, Any]] = []
        self.send("session.new", capabilities={})
        self.send("session.subscribe", events=["log.entryAdded", "network.beforeRequestSent"])
        self.tab = self.send("browsingContext.getTree")["contexts"][0]["context"]

    def send(self, method: str, **parameters: Any) -> Any:
        number = next(self.numbers)
        self.socket.send(json.dumps({"id": number, "method": method, "params": parameters}))
        while (said := json.loads(self.socket.recv())).get("id") != number:
            self.events.append(said)
        if said["type"] == "error":
            raise RuntimeError(said["message"])
        return said["result"]

    def goto(self, address: str) -> None:
        self.send("browsingContext.navigate", context=self.tab, url=address, wait="complete")

    def evaluate(self, function: str, argument: Any = None) -> Any:
        """What a JavaScript function makes of an argument, as playwright's: both can be written as JSON."""
        result = self.send(
            "script.callFunction",
            functionDeclaration=f"async text => JSON.stringify(await ({function})(JSON.parse(text)) ?? null)",
            arguments=[{"type": "string", "value": json.dumps(argument)}],
            target={"context": self.tab},
            awaitPromise=True,
        )
        if result["type"] == "exception":
            raise RuntimeError(result["exceptionDetails"]["text"])
        return json.loads(result["result"]["value"])

    def wait_for_selector(self, selector: str) -> None:
        self.evaluate(
            """async selector => {
              while (!document.querySelector(selector)) await new Promise(done => setTimeout(done, 10));
            }""",
            selector,
        )

    def give_files(self, selector: str, *paths: Path) -> None:
        found = self.send("browsingContext.locateNodes", context=self.tab, locator={"type": "css", "value": selector})
        element = {"sharedId": found["nodes"][0]["sharedId"]}
        self.send("input.setFiles", context=self.tab, element=element, files=[str(path) for path in paths])

    def troubles(self) -> list[str]:
        """Errors of the console, and addresses beyond this machine that were asked for."""
        said = [event["params"] for event in self.events]
        errors = [one["text"] for one in said if one.get("level") == "error"]
        asked = [one["request"]["url"] for one in said if "request" in one]
        return errors + [url for url in asked if not url.startswith(("file:", "data:", "blob:"))]

    def close(self) -> None:
        self.socket.close()
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
        shutil.rmtree(self.profile, ignore_errors=True)
