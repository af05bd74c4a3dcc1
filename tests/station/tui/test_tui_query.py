"""The screen Query: asking, the tree level by level, stopping, retrieving."""

import pytest

from dulcet.station.tui import matches
from dulcet.station.tui.query_pane import Found

STUDY_UID, SERIES_UID, IMAGE_UID = "1.2.3", "1.2.3.1", "1.2.3.1.1"


def text(vr, *values):
    return {"vr": vr, "Value": list(values)}


def match(**values):
    tags = {
        "name": ("00100010", "PN"), "id": ("00100020", "LO"), "born": ("00100030", "DA"), "sex": ("00100040", "CS"),
        "date": ("00080020", "DA"), "modalities": ("00080061", "CS"), "about": ("00081030", "LO"),
        "images": ("00201208", "IS"), "study": ("0020000D", "UI"), "series": ("0020000E", "UI"),
        "number": ("00200011", "IS"), "modality": ("00080060", "CS"), "in_series": ("00201209", "IS"),
        "image": ("00080018", "UI"), "class": ("00080016", "UI"), "instance": ("00200013", "IS"),
    }  # fmt: skip
    identifier = {}
    for key, value in values.items():
        tag, vr = tags[key]
        identifier[tag] = text(vr, {"Alphabetic": value} if vr == "PN" else value)
    return {"event": "find.match", "identifier": identifier}


DOE = {"name": "DOE^JANE", "id": "P1"}
STUDIES = [
    match(**DOE, born="19700101", date="20260131", modalities="CT", about="Head", images=12, study=STUDY_UID),
    match(**DOE, date="20260201", modalities="MR", study="1.2.4"),
    match(name="ROE^RICHARD", id="P2", date="20260202", modalities="US", study="1.2.5"),
]
UNREADABLE = {"event": "find.match", "unreadable": "x"}
ENDED = {"event": "find.ended", "matches": 3}
LIMITED = {"event": "find.ended", "matches": 3, "cancelled": True}


async def ask(desk, *keys):
    """PACS is under the cursor, so it is chosen already."""
    await desk.sees("PACS")
    await desk.press("f2", *keys)


def test_what_is_asked_for_and_what_came(desk):
    async def steps(desk):
        desk.script.on("find", lines=[*STUDIES, ENDED])
        await ask(desk)
        await desk.type("DOE*")
        await desk.press("enter")
        await desk.sees("DOE^JANE  P1  * 1970-01-01  2 studies", "2026-01-31  CT  Head  12 images")
        await desk.sees("ROE^RICHARD", "3 studies of 2 patients")
        assert desk.said[-1] == ("find", "--json", "--patient=DOE*", "--limit=200", "--", "PACS", "studies")

    desk().drive(steps)


def test_every_key_of_the_form_is_asked(desk):
    async def steps(desk):
        await ask(desk)
        for entered in ("A", "B", "today", "CT", "A1", "*head*"):
            await desk.type(entered)
            await desk.press("down")
        await desk.press("enter")
        await desk.until(lambda: desk.said)
        assert desk.said[-1][2:-3] == (
            "--patient=A", "--patient-id=B", "--date=today", "--modality=CT", "--accession=A1",
            "--key=StudyDescription=*head*", "--limit=200",
        )  # fmt: skip
        await desk.press("escape", "n", "enter")
        await desk.until(lambda: len(desk.said) > 1)
        assert desk.said[-1][2:-3] == ("--limit=200",)

    desk().drive(steps)


def test_levels_are_asked_for_when_they_are_opened_and_once(desk):
    async def steps(desk):
        desk.script.on("find", lines=[STUDIES[0], ENDED])
        await ask(desk, "enter")
        await desk.sees("1 study of 1 patient")
        lines = [match(series=f"1.2.3.{n}", number=n, modality="CT", in_series=6) for n in (10, 2)]
        desk.script.on("find", "--json", f"--study={STUDY_UID}", lines=lines)
        await desk.press("down", "enter")
        await desk.sees("2  CT  6 images", "10  CT  6 images", "2 series")
        assert desk.screen.index("2  CT  6") < desk.screen.index("10  CT  6")
        assert desk.said[-1] == ("find", "--json", f"--study={STUDY_UID}", "--", "PACS", "series")
        images = [match(image=IMAGE_UID, instance=1, **{"class": "1.2.840.10008.5.1.4.1.1.2"})]
        words = ("find", "--json", f"--study={STUDY_UID}", "--series=1.2.3.2")
        desk.script.on(*words, lines=images)
        await desk.press("down", "enter")
        await desk.sees("1  CT Image", "1 image")
        assert desk.said[-1] == (*words, "--", "PACS", "images")
        asked = len(desk.said)
        await desk.press("enter", "enter")
        assert len(desk.said) == asked

    desk().drive(steps)


def test_the_selected_level_is_retrieved_through_the_queue(desk):
    async def steps(desk):
        series = [match(series=SERIES_UID, number=1, modality="CT")]
        desk.script.on("find", lines=[*STUDIES[:2], ENDED])
        desk.script.on("find", "--json", f"--study={STUDY_UID}", lines=series)
        await ask(desk, "enter")
        await desk.sees("2 studies of 1 patient")
        await desk.press("r", "down", "r", "enter")
        await desk.sees("1 series")
        await desk.press("down", "r")
        await desk.sees("queued")
        asked = [
            words[4:] for words in desk.said if words[:4] == ("retrieve", "--queue", "--json", "--directory=vault")
        ]
        assert asked == [
            (f"--study={STUDY_UID}", "--study=1.2.4", "--", "PACS", "studies"),
            (f"--study={STUDY_UID}", "--", "PACS", "studies"),
            (f"--study={STUDY_UID}", f"--series={SERIES_UID}", "--", "PACS", "series"),
        ]

    desk().drive(steps)


def test_what_is_refused_is_said(desk):
    async def steps(desk):
        desk.script.on("find", lines=[STUDIES[0]])
        desk.script.on("retrieve", code=75, errors=("dulcet: the queue /q can't be used: it is locked",))
        await ask(desk, "enter")
        await desk.sees("1 study of 1 patient")
        await desk.press("r")
        await desk.sees("the queue /q can't be used")

    desk().drive(steps)


def test_a_query_is_stopped_at_the_peer_and_what_came_stays(desk):
    async def steps(desk):
        desk.script.on("find", lines=STUDIES[:2])
        desk.script.held.add(("find",))
        await ask(desk, "enter")
        await desk.sees("2 studies so far")
        await desk.press("escape")
        await desk.sees("2 studies of 1 patient; stopped")
        assert desk.script.started[-1].interrupts == 1

    desk().drive(steps)


ENDS = (
    (0, [ENDED], ("dulcet: nothing matched.", "  Wild cards: 'DOE*'"), "nothing matched. Wild cards: 'DOE*'"),
    (0, [*STUDIES, LIMITED], (), "there are more: the limit was reached"),
    (77, [], ("dulcet: PACS rejected the association", "  Ask its administrator."), "Ask its administrator."),
    (2, [], ("Usage: dulcet find", "", "Error: 'soon' is no date"), "'soon' is no date"),
    (1, [STUDIES[0], UNREADABLE], (), "2 studies of 1 patient; 1 match can't be read"),
    (70, ["no JSON", "[]", UNREADABLE], (), "the command ended with exit code 70"),
)


def test_how_queries_end(desk):
    async def steps(desk):
        await ask(desk)
        for code, lines, errors, sentence in ENDS:
            desk.script.on("find", code=code, lines=lines, errors=errors)
            await desk.press("f", "enter")
            await desk.until(lambda sentence=sentence: sentence in desk.line, sentence)
            await desk.press("escape")

    desk(size=(160, 24)).drive(steps)


def test_without_a_node_nothing_is_asked(desk):
    station = desk()
    station.book.nodes.clear()

    async def steps(desk):
        await desk.press("f2", "enter")
        await desk.sees("Which node?")
        await desk.press("escape", "r")
        await desk.sees("Select what should be retrieved")
        assert desk.said == []

    station.drive(steps)


def test_the_node_under_the_cursor_is_meant(desk):
    async def steps(desk):
        await desk.sees("CT1")
        await desk.press("down", "f2", "enter")
        await desk.until(lambda: desk.said)
        assert desk.said[-1][-2:] == ("CT1", "studies")

    desk().drive(steps)


def test_texts_of_a_peer_are_neither_markup_nor_controls():
    identifier = match(name="[red]X\x1b[2J\u202e", study="1.2; rm", series="../..")["identifier"]
    item = matches.study(identifier)
    assert matches.value(identifier, "00100010") == "[red]X\\x1b[2J\\u202e"
    assert item.study == ("",)
    assert matches.series(identifier, item).series == ""


@pytest.mark.parametrize(
    ("attribute", "expected"),
    [
        (None, ""),
        ("text", ""),
        ({"vr": "LO"}, ""),
        ({"Value": "x"}, ""),
        ({"Value": [None, "a", 3]}, ", a, 3"),
        ({"Value": [{"Ideographic": "山田"}]}, "山田"),
        ({"Value": [{}]}, ""),
    ],
)
def test_values_of_the_json_model(attribute, expected):
    assert matches.value({"00100010": attribute}, "00100010") == expected


def test_a_line_that_is_none_is_no_match():
    found = Found()
    assert [found.take(line) for line in ("", "{", "[]", "7", '{"event": "find.match"}')] == [None] * 5
    assert (found.count, found.unreadable) == (1, 1)
