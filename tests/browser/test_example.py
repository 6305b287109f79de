# SPDX-License-Identifier: Apache-2.0
"""The example of docs/browser.md, as it is printed there: the server runs, and node plays the page."""

import importlib.util
import json
import re
import threading
from collections.abc import Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.request import urlopen

import pytest

from sealpass.backends.registry import key_maker
from sealpass.core.capabilities import UnwrapMode
from tests.browser.programs import HERE, Program

GUIDE = HERE.parents[1] / "docs" / "browser.md"


@pytest.fixture(params=["SEALPASS", "AIRLOCK_KMS"])
def origin(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The example's server on a free port, in a folder with its files and a key; and as the guide varies it for KMS."""
    guide = GUIDE.read_text("utf-8").replace("sealpass.SEALPASS, NONCES", f"sealpass.{request.param}, NONCES")
    assert f"sealpass.{request.param}, NONCES" in guide
    if request.param == "AIRLOCK_KMS":
        guide = guide.replace('{ profile: "sealpass" });\n  input', '{ profile: "airlock-kms" });\n  input')
    for name in ("server.py", "index.html", "login.js"):
        block = re.search(rf"^`{re.escape(name)}`.*?^```\w+\n(.*?)^```", guide, re.DOTALL | re.MULTILINE)
        assert block is not None
        (tmp_path / name).write_text(block[1], "utf-8")
    key_maker(f"software:path={tmp_path}/key.pem").create_rsa(2048, UnwrapMode.SOFTWARE)
    monkeypatch.chdir(tmp_path)
    spec = importlib.util.spec_from_file_location("example_server", tmp_path / "server.py")
    assert spec is not None
    assert spec.loader is not None
    example = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    with ThreadingHTTPServer(("127.0.0.1", 0), example.Handler) as server, example.RING:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


def test_the_password_arrives_encrypted(origin: str, node: Program) -> None:
    """The page sends a token, the server opens it, and the input is empty afterwards."""
    password = "korrekt Pferd ☃ Batterie"
    shown = json.loads(node.run("use-page.mjs", origin, password))
    assert json.loads(shown["shown"]) == {"characters": len(password)}
    assert shown["left"] == ""


def test_the_page_is_served_under_a_strict_policy(origin: str) -> None:
    """Scripts of its own, requests to its own server, nothing else."""
    with urlopen(f"{origin}/") as page:  # noqa: S310 - our own server on loopback
        policy = page.headers["Content-Security-Policy"].split("; ")
        text = page.read().decode()
    assert policy[:3] == ["default-src 'none'", "script-src 'self'", "connect-src 'self'"]
    assert '<script type="module" src="/login.js"></script>' in text
