"""Who gets an answer from the server of the page, and how the command ends where it cannot begin."""

import asyncio
import html
import re
import socket
import stat
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
from astropy.io import fits

from astroseg.cli import main

pytest.importorskip("bokeh", reason="needs the extra click")
from astroseg_networks import click_command
from astroseg_networks.click_page import ClickPage
from astroseg_networks.click_server import serve
from astroseg_networks.click_state import ClickState
from astroseg_networks.click_view import View
from astroseg_networks.dextr_finder import DEXTRFinder
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from astroseg import read_image

HOSTILE = "</script><script>alert(1)</script> $$x$$.fits"


class Visitor:
    """Asks a server, as a browser or as somebody else would."""

    def __init__(self, address):
        self.address = address
        self.host, _, self.token = re.fullmatch(r"http://([^/]+)/(\?token=)(\S+)", address).groups()
        self.port = int(self.host.rpartition(":")[2])

    async def get(self, path="/", token=None, **headers):
        """Status and text."""
        url = f"http://{self.host}{path}" + ("" if token is None else f"?token={token}")
        try:
            answer = await AsyncHTTPClient().fetch(HTTPRequest(url, headers=headers))
        except HTTPClientError as error:
            return error.code, error.response.body.decode()
        return answer.code, answer.body.decode()

    async def connect(self, token=None, session="x", **headers):
        """What comes first over a WebSocket, or the status that refuses it."""
        url = f"ws://{self.host}/ws" + ("" if token is None else f"?token={token}")
        try:
            link = await websocket_connect(HTTPRequest(url, headers=headers), subprotocols=["bokeh", session])
        except HTTPClientError as error:
            return error.code
        first = await link.read_message()
        link.close()
        return first


@pytest.fixture(scope="module")
def image():
    image = read_image(np.random.default_rng(1).normal(size=(60, 80)))
    image.meta["name"] = HOSTILE
    return image


@pytest.fixture
def visit(image, tmp_path):
    """Run a test with a visitor to a server."""
    state, view = ClickState(image, DEXTRFinder(), folder=tmp_path), View(image)

    def run(test):
        async def whole():
            address = asyncio.get_running_loop().create_future()
            server = asyncio.create_task(serve(lambda document: ClickPage(state, view, document), address.set_result))
            await asyncio.wait({server, address}, return_when=asyncio.FIRST_COMPLETED)
            await test(Visitor(address.result()))
            server.cancel()
            await asyncio.gather(server, return_exceptions=True)

        asyncio.run(whole())

    return run


def test_the_page_needs_the_token(visit):
    async def test(visitor):
        status, page = await visitor.get(token=visitor.token)
        assert status == 200
        assert "Which click does what" in page
        for token in (None, "", "wrong", visitor.token[:-1], visitor.token + "x", visitor.token.swapcase(), "%FF%00"):
            status, text = await visitor.get(token=token)
            assert status == 403
            assert text == "The address is not complete: open the one that the terminal shows.\n"
        for path in ("/autoload.js", "/metadata", "/favicon.ico", "/nothing", "/ws"):
            assert (await visitor.get(path))[0] == 403
        assert (await visitor.get("/nothing", token=visitor.token))[0] == 404

    visit(test)


def test_the_token_is_long_and_new_each_time(visit):
    tokens = set()

    async def test(visitor):
        tokens.add(visitor.token)

    for _ in range(2):
        visit(test)
    assert len(tokens) == 2
    assert min(map(len, tokens)) >= 43  # 256 bits


NAMES = ["evil.example", "evil.example:{port}", "127.0.0.1", "127.0.0.1:1", "0.0.0.0:{port}", "", "{port}.evil.example"]


@pytest.mark.parametrize("host", NAMES)
def test_other_names_get_nothing(visit, host):
    async def test(visitor):
        headers = {"Host": host.format(port=visitor.port)}
        assert (await visitor.get(token=visitor.token, **headers))[0] in (400, 403)
        assert (await visitor.get("/static/js/bokeh.min.js", **headers))[0] in (400, 403)

    visit(test)


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "https://{host}", "http://{host}.evil.example"]
)
def test_pages_of_others_get_nothing(visit, origin):
    async def test(visitor):
        headers = {"Origin": origin.format(host=visitor.host)}
        assert (await visitor.get(token=visitor.token, **headers))[0] == 403
        assert await visitor.connect(visitor.token, **headers) == 403

    visit(test)


def test_a_websocket_needs_token_origin_and_host(visit):
    async def test(visitor):
        _, page = await visitor.get(token=visitor.token)
        session = re.search(r'"token":"([^"]+)"', html.unescape(page))[1]
        own = {"Origin": f"http://{visitor.host}"}
        assert '"ACK"' in await visitor.connect(visitor.token, session, **own)
        assert await visitor.connect(visitor.token, session) == 403
        for token in (None, "wrong"):
            assert await visitor.connect(token, session, **own) == 403
        assert await visitor.connect(visitor.token, session, Host="evil.example", **own) == 403

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # of the client
        visit(test)


def test_nobody_else_can_connect(visit):
    async def test(visitor):
        others = {info[4][0] for info in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
        for address in others - {"127.0.0.1"}:
            with pytest.raises(OSError, match=r"refused|timed out|unreachable"):
                socket.create_connection((address, visitor.port), timeout=2).close()

    visit(test)


def test_the_name_of_the_image_is_text(visit):
    async def test(visitor):
        _, page = await visitor.get(token=visitor.token)
        assert "<script>alert" not in page
        assert f"<h1>{html.escape(HOSTILE)}</h1>" in page

    visit(test)


# The command


def run(*arguments):
    with pytest.raises(SystemExit) as end:
        main(["click", *map(str, arguments)])
    return end.value.code


@pytest.fixture
def sky(tmp_path):
    path = tmp_path / "sky.fits"
    fits.writeto(path, np.random.default_rng(1).normal(size=(60, 80)))
    return path


def one_line(capsys):
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_it_prints_the_address_and_ends_quietly(sky, tmp_path, capsys, monkeypatch):
    async def stopped(fill, started):
        started("http://127.0.0.1:1/?token=x")
        raise KeyboardInterrupt

    opened = []

    def look(address):
        path = Path(address.removeprefix("file://"))
        opened.append((stat.S_IMODE(path.parent.stat().st_mode), path.read_text("utf-8"), path))

    monkeypatch.setattr("astroseg_networks.click_server.serve", stopped)
    monkeypatch.setattr(click_command.webbrowser, "open", look)
    assert run(sky, "--output", tmp_path / "new", "--no-browser") == 0
    assert not opened
    assert capsys.readouterr().out.splitlines()[1:] == ["  http://127.0.0.1:1/?token=x", "Ctrl-C ends.", "Ended."]
    assert run(sky, "--output", tmp_path / "new") == 0
    ((mode, text, path),) = opened  # the token is not among the arguments of the browser, which all can see
    assert mode == 0o700
    assert "url=http://127.0.0.1:1/?token=x" in text
    assert not path.exists()


def test_bad_images_end_in_one_line(tmp_path, capsys):
    (tmp_path / "text.fits").write_text("no image")
    for name, message in (
        ("none.fits", "There is no file"),
        ("text.fits", "it is not a FITS file"),
        ("", "is a folder"),
    ):
        assert run(tmp_path / name, "--output", tmp_path) == 1
        assert message in one_line(capsys)


def test_bad_folders_end_in_one_line(sky, capsys):
    assert run(sky, "--output", sky) == 1
    assert f"Cannot write into the folder {sky}" in one_line(capsys)
    if sys.platform == "linux":
        assert run(sky, "--output", "/proc") == 1
        assert "Cannot write into the folder /proc" in one_line(capsys)


def test_existing_files_are_refused_at_once(sky, tmp_path, capsys):
    (tmp_path / "sky.dextr.ecsv").write_text("mine")
    assert run(sky, "--output", tmp_path) == 1
    assert "sky.dextr.ecsv exists already" in one_line(capsys)


def test_bad_options_end_in_one_line(sky, tmp_path, capsys):
    assert run(sky, "--output", tmp_path, "--set", "treshold=0.5") == 2
    assert "threshold" in one_line(capsys)


def test_without_the_extra(sky, capsys, monkeypatch):
    for name in [name for name in sys.modules if name.partition(".")[0] == "bokeh"]:
        monkeypatch.delitem(sys.modules, name)
    for name in ("click_page", "click_sky", "click_server"):
        monkeypatch.delitem(sys.modules, f"astroseg_networks.{name}", raising=False)
    monkeypatch.setitem(sys.modules, "bokeh", None)
    assert run(sky) == 1
    message = one_line(capsys)
    assert "astroseg click needs bokeh, which is not installed" in message
    assert "'./plugins/astroseg-networks[click]'" in message


def test_it_is_listed(capsys):
    with pytest.raises(SystemExit):
        main(["--help"])
    assert "Outline objects by clicking on them" in capsys.readouterr().out
