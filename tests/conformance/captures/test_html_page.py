"""The page of a capture: whole, escaped, bounded, without anything from outside; and a browser opens it."""

import html
import os
import re
import shutil
import subprocess
from base64 import b64encode
from hashlib import sha256
from html.parser import HTMLParser
from pathlib import Path
from random import Random

import pytest

from dulcet.conformance.captures import html as page
from dulcet.conformance.captures.build import read_capture, read_octets
from dulcet.conformance.captures.fields import fields_of
from dulcet.conformance.captures.html import to_html
from dulcet.conformance.captures.machines import Machines, Side
from dulcet.conformance.captures.streams import Direction, whole
from dulcet.errors import NotDICOMError
from dulcet.ul.pdata import PresentationDataValue
from dulcet.ul.pdu import AReleaseRQ, PDataTF
from dulcet.ul.table import Event

CAPTURES = Path(__file__).parents[2] / "captures"
NAMES = sorted({path.stem.split("__")[0]: path.stem for path in sorted(CAPTURES.glob("*.pcap"))}.values())
"""One capture of each scenario."""

SMALL = [name for name in NAMES if (CAPTURES / f"{name}.pcap").stat().st_size < 20_000]
VOID = {"meta", "input", "br"}


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, and in order."""

    def __init__(self, text):
        super().__init__()
        self.open = []
        self.elements = []
        self.entries = []
        self.text = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.elements.append((tag, values))
        if "entry" in (values.get("class") or "").split():
            self.entries.append({"id": values.get("id"), "class": values["class"].split(), "fields": [], "links": []})
        if tag == "li" and "data-a" in values:
            self.entries[-1]["fields"].append((int(values["data-a"]), int(values["data-b"])))
        if tag == "a" and self.entries:
            self.entries[-1]["links"].append(values["href"])
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] not in ("style", "script"):
            self.text.append(data)

    @property
    def shown(self):
        return "".join(self.text)


def page_of(transcript, **chosen):
    text = "".join(to_html(transcript, **chosen))
    return Page(text), text


@pytest.mark.parametrize("name", NAMES)
def test_every_scenario_has_a_whole_page(name, recording):
    """Each PDU is there or in a run, and each that breaks the standard is marked; nothing is loaded from anywhere."""
    transcript = recording(name).transcript
    parsed, text = page_of(transcript)
    shown = {entry["id"]: entry for entry in parsed.entries if entry["id"]}
    for stream in transcript.streams:
        for pdu in stream.pdus:
            entry = shown.get(f"s{stream.number}p{pdu.number}")
            if pdu.error is not None or pdu.deviations:
                assert "wrong" in entry["class"]
                assert not pdu.deviations or any("dicom.nema.org" in link for link in entry["links"])
            if entry is not None:
                assert entry["fields"] == [(node.start, node.stop) for node in fields_of(pdu.octets)]
    loading = {"src", "srcset", "data", "action", "formaction", "poster", "background", "ping"}
    for tag, values in parsed.elements:
        assert tag not in ("link", "img", "iframe", "object", "embed", "base", "form")
        assert not loading & values.keys()
        assert not any(name.startswith("on") or name == "style" for name in values)
        assert re.fullmatch(r"#s\d+|https://dicom\.nema\.org/medical/dicom/current/.*", values.get("href", "#s0"))
    assert text.isascii()


def test_the_policy_names_the_style_and_the_script_that_are_there(recording):
    _, text = page_of(recording("echo__dcmtk-echoscu__pynetdicom").transcript)
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1])
    assert policy.startswith("default-src 'none'; ")
    for tag in ("style", "script"):
        (inner,) = re.findall(rf"<{tag}>(.*?)</{tag}>", text, re.DOTALL)
        digest = b64encode(sha256(inner.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
        assert "@import" not in inner
        assert "url(" not in inner


EVIL = b"<script>alert(1)</script><img src=x onerror=alert(1)>\"'&]]>-->\x1b[2J\xff"


@pytest.mark.parametrize("place", range(10, 42, 8))
def test_what_a_peer_says_is_text(place, recording):
    """Markup in AE titles, and wherever a name or a version is text, comes out as characters."""
    direction, octets = recording("echo__dcmtk-echoscu__pynetdicom").conversation[0]
    evil = bytearray(octets)
    evil[place : place + 16] = EVIL[:16]
    evil[-20:] = EVIL[:20]
    source = bytes(evil)
    transcript = read_octets(
        "<b>name</b>", {direction: whole(source)}, format_name="octets", has_directions=True, source=source
    )
    parsed, text = page_of(transcript)
    assert [tag for tag, _ in parsed.elements if tag in ("script", "img", "b")].count("script") == 1
    assert "<img" not in text
    assert "<b>name" not in text
    assert "<script>aler" in parsed.shown
    assert "\x1b" not in text


def test_a_status_is_explained_with_its_class_and_clause(recording):
    parsed, text = page_of(recording("move-unknown-dest__dcmtk-movescu__dcmtk-dcmqrscp").transcript)
    assert "A801H" in parsed.shown
    assert "The status is of the class Failure, PS3.4 C.4.2" in parsed.shown
    assert '<span class="status Failure">A801H ' in text


def test_the_machines_are_in_the_margins(recording):
    transcript = recording("echo__dcmtk-echoscu__pynetdicom").transcript
    parsed, text = page_of(transcript)
    assert len(parsed.entries) == len(transcript.streams[0].entries)
    row = text[text.index('id="s0p0"') :].split("</summary>")[0]
    left, right = row.split('class="message"')
    assert re.search(r">Evt2</span> AE-2 <b [^>]*>Sta5</b>", left)
    assert re.search(r">Evt6</span> AE-6 <b [^>]*>Sta3</b>", right)


def test_a_data_set_of_many_pdus_is_one_entry_unless_one_is_asked_for(recording, packets):
    capture = packets().open()
    request, answer, command, *_ = recording("store-one__dcmtk-storescu__dcmtk-storescp").conversation
    for direction, octets in (request, answer, command):
        capture.send(direction, octets)
    for number in range(2000):
        value = PresentationDataValue(1, False, number == 1999, bytes(1000))
        capture.send(Direction.TO_SERVER, PDataTF(values=(value,)).encode())
    parsed, text = page_of(capture.transcript)
    assert [entry["id"] for entry in parsed.entries if entry["id"]] == ["s0p0", "s0p1", "s0p2", "s0p3"]
    assert "P-DATA-TF x 2000" in parsed.shown
    assert "data set of C-STORE-RQ: 2024000 octets of PDUs" in parsed.shown
    assert len(text) < 200_000
    one, _ = page_of(capture.transcript, pdus=frozenset((1500,)))
    assert [entry["id"] for entry in one.entries] == ["s0p1500"]


def releases(count):
    source = AReleaseRQ().encode() * count
    halves = {Direction.TO_SERVER: whole(source)}
    return read_octets("many", halves, format_name="octets", has_directions=True, source=source)


def test_the_page_is_bounded_and_says_what_is_left_out(monkeypatch):
    monkeypatch.setattr(page, "MAX_ENTRIES", 50)
    monkeypatch.setattr(page, "MAX_OPENED_CHARACTERS", 20_000)
    budget = page._Budget(characters=20_000, entries=50)
    monkeypatch.setattr(page, "_Budget", lambda: budget)
    parsed, text = page_of(releases(300))
    assert len(parsed.entries) == 50
    assert "250 entries more are left out" in parsed.shown
    assert text.count("what opens here is left out") > 20
    assert text.count("<details>") < 30


@pytest.mark.parametrize(
    ("octets", "expected"),
    [
        (1012, None),
        (1013, "the hexdump shows 1024 of 1025 octets"),
        (5000, "the hexdump shows 1024 of 5012 octets"),
    ],
)
def test_octets_that_are_not_shown_are_counted(octets, expected):
    source = PDataTF(values=(PresentationDataValue(1, False, True, bytes(octets)),)).encode()
    halves = {Direction.TO_SERVER: whole(source)}
    parsed, _ = page_of(read_octets("one", halves, format_name="octets", has_directions=True, source=source))
    said = re.search(r"the hexdump shows \d+ of \d+ octets", parsed.shown)
    assert (said and said[0]) == expected


def chromium(address, *options, profile):
    program = shutil.which("chromium") or shutil.which("google-chrome")
    if program is None:
        sentence = "chromium is not installed: `make peers` installs it on Debian"
        if os.environ.get("DULCET_REQUIRE_PEERS") == "1":
            pytest.fail(f"{sentence} (DULCET_REQUIRE_PEERS=1)", pytrace=False)
        pytest.skip(sentence)
    quiet = ("--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-quic")
    return subprocess.run(
        [program, "--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", *quiet, *options,
         f"--user-data-dir={profile}", "--enable-logging=stderr", "--dump-dom", address],
        capture_output=True, text=True, timeout=60, check=True, env={**os.environ, "LC_ALL": "C.UTF-8"},
    )  # fmt: skip


def test_a_browser_opens_it_and_marks_a_field(recording, tmp_path):
    """The script runs to its end, opens the PDU that the address names, and marks the octets of the field there."""
    path = tmp_path / "page.html"
    path.write_text("".join(to_html(recording("echo__dcmtk-echoscu__pynetdicom").transcript)))
    ran = chromium(f"{path.as_uri()}#s0p0o11", profile=tmp_path / "profile")
    assert "CONSOLE" not in ran.stderr
    assert 'data-ready="1"' in ran.stdout.split(">", 2)[1]
    entry = ran.stdout[ran.stdout.index('id="s0p0"') : ran.stdout.index('id="s0p1"')]
    assert '<details open="">' in entry
    marked = [int(number) for number in re.findall(r'<i data-o="(\d+)" class="on">', entry)]
    assert sorted(set(marked)) == list(range(10, 26))
    assert len(marked) == 2 * 16
    assert re.search(r'class="l0 pinned on"[^>]* aria-pressed="true"', entry)


def test_what_is_no_pdu_after_the_other_side_was_lost():
    """The machines of a page with octets that no table knows, while half of the conversation is missing."""
    machines = Machines()
    machines.forget(Side.ACCEPTOR)
    assert machines.pdu(1, 0, Side.REQUESTOR, 1) is None
    assert machines.pdu(2, 0, Side.REQUESTOR, 0, is_valid=False) is None
    assert [step.event for step in machines.steps(2)] == [Event.EVT19]


@pytest.mark.parametrize("seed", range(24))
def test_a_capture_with_any_octets_changed_has_a_page(seed, recording):
    chance = Random(seed)
    octets = bytearray(recording(chance.choice(SMALL)).octets)
    for _ in range(chance.choice((1, 3, 30))):
        octets[chance.randrange(24, len(octets))] = chance.choice((0, 60, 255, chance.randrange(256)))
    try:
        transcript = read_capture("<changed>", bytes(octets))
    except NotDICOMError:
        return
    parsed, text = page_of(transcript)
    assert text.isascii()
    assert [tag for tag, _ in parsed.elements].count("script") == 1
