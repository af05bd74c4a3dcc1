"""Rules that forward: which objects, to whom, never back, and what is wrong with them."""

from pathlib import Path

import pytest

from dulcet.dimse.uids import STORAGE_SOP_CLASSES
from dulcet.errors import ConfigurationError
from dulcet.station.book.node_book import NodeBook
from dulcet.station.book.toml_file import TOMLFile
from dulcet.station.forwarding.route import Route, Subject
from dulcet.station.forwarding.routes import OwnEntity, Routes

CT, MR = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.5.1.4.1.1.4"
BOOK = """
[PACS]
ae_title = "PACS"
host = "10.0.0.1"
port = 104
[PACS-OLD]
ae_title = "OLDNAME"
host = "10.0.0.1"
port = 104
[WORK]
ae_title = "WORK"
host = "10.0.0.3"
port = 104
[OURS]
ae_title = "DULCET"
host = "127.0.0.1"
port = 11112
[OTHER]
ae_title = "DULCET"
host = "127.0.0.1"
port = 11113
[BROKEN]
ae_title = "X"
"""


OURS = OwnEntity(ae_title="DULCET", port=11112)


@pytest.fixture
def read():
    """Rules from the text of a configuration file."""

    def parse(text, own=OURS):
        file = TOMLFile.parse(Path("dulcet.toml"), text)
        return Routes.read(file, NodeBook.parse(Path("nodes.toml"), BOOK), own)

    return parse


def subject(calling="CT1", called="DULCET", sop_class_uid=CT, modality="CT"):
    return Subject(calling=calling, called=called, sop_class_uid=sop_class_uid, modality=modality)


def goes(routes, **fields):
    """(rule, node) of where an object goes."""
    return [(each.route.name, each.node) for each in routes.decide(subject(**fields)) if not each.refusal]


def why_not(routes, **fields):
    return [each.refusal for each in routes.decide(subject(**fields)) if each.refusal]


def rule(**fields):
    return Route(**{"name": "a", "to": ("PACS",), **fields})


# Which objects --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pattern", "title", "fits"),
    [
        ("CT1", "CT1", True),
        ("CT1", "ct1", False),
        ("CT1", "CT12", False),
        ("CT*", "CT", True),
        ("CT*", "CT_ROOM 5", True),
        ("*", "", True),
        ("CT?", "CT1", True),
        ("CT?", "CT", False),
        ("C.1", "CT1", False),
        ("C[T]1", "CT1", False),
        ("C[T]1", "C[T]1", True),
        ("*1", " CT1 ", True),  # spaces round a title are not part of it
    ],
)
def test_titles_and_patterns(pattern, title, fits):
    assert rule(origins=(pattern,)).objection(subject(calling=title)) is not fits
    assert rule(called=(pattern,)).objection(subject(called=title)) is not fits


@pytest.mark.parametrize(
    ("fields", "objection"),
    [
        ({}, ""),
        ({"enabled": False}, "the rule is not enabled"),
        ({"origins": ("A", "B")}, "the calling AE title 'CT1' is none of A, B"),
        ({"called": ("A",)}, "the called AE title 'DULCET' is none of A"),
        ({"sop_classes": (MR,)}, f"the SOP class {CT} is not among those of the rule"),
        ({"modalities": ("MR", "PT")}, "the modality 'CT' is none of MR, PT"),
        ({"origins": ("A", "C*"), "called": ("DULCET",), "sop_classes": (MR, CT), "modalities": ("CT",)}, ""),
    ],
)
def test_objections(fields, objection):
    assert rule(**fields).objection(subject()) == objection


def test_a_modality_that_is_not_known_yet_is_no_objection():
    by_modality = rule(modalities=("CT",))
    assert by_modality.objection(subject(modality=None)) == ""
    assert by_modality.objection(subject(modality="")) != ""
    routes = Routes((by_modality, rule(name="b", origins=("X",))))
    assert routes.may_apply(subject(modality=None))
    assert not routes.may_apply(subject(modality="MR"))
    assert not Routes().may_apply(subject())


def test_what_a_peer_says_is_quoted():
    assert "\x1b" not in rule(origins=("A",)).objection(subject(calling="\x1b[2J"))


# To whom --------------------------------------------------------------------------------------------------------------


def test_every_rule_has_its_say_and_a_node_gets_an_object_once(read):
    routes = read('[[route]]\nname="a"\nto=["PACS","WORK"]\n[[route]]\nname="b"\nto=["WORK","OTHER"]\n')
    assert goes(routes) == [("a", "PACS"), ("a", "WORK"), ("b", "OTHER")]
    assert why_not(routes) == ["it goes there by rule 'a'"]


@pytest.mark.parametrize(
    ("calling", "node", "refusal"),
    [
        ("PACS", "PACS", "it came from there"),
        ("PACS ", "PACS", "it came from there"),
        ("OLDNAME", "PACS", "it came from there: the book knows it as PACS-OLD, too"),
        ("WORK", "PACS", ""),
        ("pacs", "PACS", ""),
        ("CT1", "OURS", "that is ourselves"),
        ("CT1", "OTHER", ""),
    ],
)
def test_never_back_and_never_to_ourselves(read, calling, node, refusal):
    (decision,) = read(f'[[route]]\nname="a"\nto="{node}"\n').decide(subject(calling=calling))
    assert decision.refusal == refusal


def test_a_node_that_is_ours_by_name_on_another_machine_is_another(read):
    routes = read('[[route]]\nname="a"\nto="OURS"\n', OwnEntity(ae_title="DULCET", port=104))
    assert goes(routes) == [("a", "OURS")]


# Reading --------------------------------------------------------------------------------------------------------------


def test_everything_that_can_be_said(read):
    routes = read(
        """
[[route]]
name = "all"
from = ["CT*", "MR1"]
called = "DULCET"
modality = ["ct", "MR"]
sop_class = ["CT Image", "1.2.3"]
to = ["PACS", "WORK"]
priority = -5
hours = "22:00-6:00"
bandwidth = "10M"
delay = 0.5
enabled = true
"""
    )
    (route,) = routes.routes
    assert route == Route(
        name="all",
        origins=("CT*", "MR1"),
        called=("DULCET",),
        modalities=("CT", "MR"),
        sop_classes=(*(uid for uid, name in STORAGE_SOP_CLASSES.items() if name.startswith("CT Image")), "1.2.3"),
        to=("PACS", "WORK"),
        priority=-5,
        hours="22:00-06:00",
        octets_per_second=10_000_000,
        delay=0.5,
        enabled=True,
        place="dulcet.toml:2",
    )
    assert routes.get("all") is route
    assert routes.get("other") is None


def test_without_rules_nothing_is_forwarded(read):
    assert not read("")
    assert not read('[dulcet]\naet = "A"\n')
    assert not read('[[route]]\nname="a"\nto="PACS"\nenabled=false\n')
    assert read('[[route]]\nname="a"\nto="PACS"\n')


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("fron = 'A'", "fron: a rule has no such setting; did you mean 'from'?"),
        ("from = 5", "from: a text in quotes, or a list of them, is expected"),
        ("from = []", "from: the list is empty"),
        ("from = ['A', 5]", "from: a text in quotes, or a list of them, is expected"),
        ("from = 'SEVENTEEN LETTERS'", "from: 'SEVENTEEN LETTERS' is no AE title and no pattern of one"),
        ('called = "A\\\\B"', "called: "),
        ("modality = ''", "modality: a text in quotes"),
        ("sop_class = 'CTimage Storage'", "sop_class: 'CTimage Storage' is no storage SOP class; did you mean"),
        ("priority = 1.5", "priority: a whole number from -100 to 100 is expected"),
        ("priority = 101", "priority: a whole number"),
        ("priority = true", "priority: a whole number"),
        ("hours = '9-5'", "hours: hours are written like 22:00-06:00"),
        ("bandwidth = 'fast'", "bandwidth: 'fast' is no size"),
        ("bandwidth = 10", "bandwidth: octets per second are expected, at least 1K"),
        ("bandwidth = true", "bandwidth: "),
        ("delay = -1", "delay: seconds from 0 to 3600"),
        ("delay = '5'", "delay: seconds from 0"),
        ("delay = nan", "delay: seconds from 0"),
        ("delay = true", "delay: seconds from 0"),
        ("enabled = 'yes'", "enabled: true or false is expected"),
    ],
)
def test_a_fault_is_told_with_its_line(read, line, sentence):
    with pytest.raises(ConfigurationError) as caught:
        read(f"[dulcet]\naet = 'A'\n\n[[route]]\nname = 'a'\nto = 'PACS'\n# a comment\n{line}\n")
    assert str(caught.value).startswith(f"dulcet.toml:8: [[route]] {sentence}")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("[[route]]\nto = 'PACS'\n", "dulcet.toml:1: [[route]]: name is missing"),
        ("[[route]]\nname = 'a'\n", "dulcet.toml:1: [[route]]: to is missing"),
        (
            "[[route]]\nname = 'a'\nto = 'PACX'\n",
            "dulcet.toml:3: [[route]] to: 'PACX' is no node of nodes.toml; did you",
        ),
        (
            "[[route]]\nname = 'a'\nto = ['PACS', 'BROKEN']\n",
            "dulcet.toml:3: [[route]] to: nodes.toml:22: [BROKEN]: host",
        ),
        ("route = [{name = 'a', to = 5}]\n", "dulcet.toml:1: [[route]] to: a text in quotes"),
        ("route = 5\n", "dulcet.toml:1: each rule that forwards begins with a line [[route]]"),
        (
            "[[route]]\nname = 'a'\nto = 'PACS'\n[[route]]\nname = 'a'\nto = 'WORK'\n",
            "dulcet.toml:5: [[route]] name: there is a rule of this name in dulcet.toml:1",
        ),
    ],
)
def test_other_faults(read, text, sentence):
    with pytest.raises(ConfigurationError) as caught:
        read(text)
    assert str(caught.value).startswith(sentence)


def test_every_fault_is_told(read):
    with pytest.raises(ConfigurationError) as caught:
        read("[[route]]\nname = 'a'\nto = 'NO'\ndelay = -1\n[[route]]\nto = 'PACS'\npriority = 'x'\n")
    assert [line.split(" ")[0] for line in str(caught.value).splitlines()] == [
        "dulcet.toml:4:",
        "dulcet.toml:3:",
        "dulcet.toml:7:",
        "dulcet.toml:5:",
    ]
