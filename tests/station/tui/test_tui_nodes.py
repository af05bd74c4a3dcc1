"""The screen Nodes: the book, echoes, doctor, snippet."""

from dulcet.station.book.nodes import Node
from dulcet.station.tui.node_form import add_words, edit_words, fault_of


def echoed(name, address, **values):
    return {"event": "echo.result", "peer": f"{name} ({address})", "exit_code": 0, "median_ms": 3.25, **values}


def test_the_book_is_shown(desk):
    async def steps(desk):
        await desk.sees("PACS", "ARCHIVE", "127.0.0.1", "11112", "CT1", "192.0.2.7", "yes", "2 nodes")

    desk().drive(steps)


def test_an_empty_book_says_how_to_begin(desk):
    async def steps(desk):
        desk.book.nodes.clear()
        await desk.press("f1")
        await desk.press("f2", "f1")
        await desk.sees("No nodes yet: a enters one.")

    desk().drive(steps)


def test_faults_of_the_book_are_sentences(desk):
    one, two = desk(), desk()
    one.book.faults.append("/x/nodes.toml:3: [PACS2] port: 0 is no port")
    two.book.error = "/x/nodes.toml: it is no TOML"

    async def first(desk):
        await desk.sees("[PACS2] port: 0 is no port", "PACS")

    async def second(desk):
        await desk.sees("it is no TOML")

    one.drive(first)
    two.drive(second)


def test_an_echo_is_asked_and_shown(desk):
    async def steps(desk):
        desk.script.on("echo", lines=[echoed("PACS", "ARCHIVE@127.0.0.1:11112")])
        await desk.press("e")
        await desk.sees("● 3.2 ms", "PACS is there: 3.2 ms")
        assert desk.said == [("echo", "--json", "--", "PACS")]

    desk().drive(steps)


def test_an_echo_that_fails_says_why_and_what_to_do(desk):
    async def steps(desk):
        line = echoed("PACS", "x", exit_code=69, error="127.0.0.1:11112 refused the connection")
        errors = ("dulcet: PACS (x): 127.0.0.1:11112 refused the connection", "  Is the program there running?")
        desk.script.on("echo", code=69, lines=[line], errors=errors)
        await desk.press("e")
        await desk.sees("✗ no", "refused the connection", "Is the program there running?")

    desk().drive(steps)


def test_all_are_asked_at_once_and_each_has_its_answer(desk):
    async def steps(desk):
        desk.script.on(
            "echo", code=76, lines=[echoed("CT1", "y", exit_code=76, statuses=["0122H"]), echoed("PACS", "x")]
        )
        await desk.press("E")
        await desk.sees("1 of 2 answered", "● 3.2 ms", "✗ no")
        assert desk.said == [("echo", "--json", "--", "PACS", "CT1")]

    desk().drive(steps)


def test_while_it_is_asked_the_interface_goes_on(desk):
    async def steps(desk):
        desk.script.held.add(("echo",))
        await desk.press("e")
        await desk.sees("… asking")
        await desk.press("down", "f2")
        await desk.sees("Choose a node")
        desk.script.started[-1].gate.set()
        await desk.press("f1")
        await desk.sees("no answer")

    desk().drive(steps)


def test_a_node_is_added(desk):
    async def steps(desk):
        desk.script.on("node", lines=["NEW is AET@host:104, in /x/nodes.toml"])
        await desk.press("a")
        await desk.sees("New node")
        for text in ("NEW", "AET", "host", "104"):
            await desk.type(text)
            await desk.press("enter")
        desk.book.nodes.append(Node(name="NEW", ae_title="AET", host="host", port=104))
        await desk.press("ctrl+s")
        await desk.sees("NEW is AET@host:104")
        assert desk.said == [("node", "add", "--", "NEW", "AET@host:104")]
        assert desk.app.front.node.name == "NEW"

    desk().drive(steps)


def test_what_is_wrong_is_said_in_the_form(desk):
    async def steps(desk):
        await desk.press("a")
        for text in ("NEW", "AET", "host", "70000"):
            await desk.type(text)
            await desk.press("enter")
        await desk.press("ctrl+s")
        await desk.sees("70000 is no port")
        assert desk.app.focused.id == "port"
        await desk.press("escape")
        await desk.loses("70000 is no port")
        assert desk.said == []

    desk().drive(steps)


def test_a_node_is_changed(desk):
    async def steps(desk):
        await desk.press("down", "enter")
        await desk.sees("Node CT1")
        await desk.press("home", "shift+end")
        await desk.type("SCANNER")
        await desk.press("ctrl+s")
        await desk.until(lambda: desk.said)
        assert desk.said == [("node", "edit", "--ae-title=SCANNER", "--", "CT1")]

    desk().drive(steps)


def test_a_form_without_a_change_changes_nothing(desk):
    async def steps(desk):
        await desk.press("m")
        await desk.sees("Node PACS")
        await desk.press("ctrl+s")
        await desk.loses("Node PACS")
        assert desk.said == []

    desk().drive(steps)


def test_a_refusal_of_the_command_is_shown(desk):
    async def steps(desk):
        desk.script.on("node", code=78, errors=("dulcet: there is a node NEW already",))
        await desk.press("a")
        for text in ("NEW", "AET", "host", "104"):
            await desk.type(text)
            await desk.press("enter")
        await desk.press("ctrl+s")
        await desk.sees("there is a node NEW already")

    desk().drive(steps)


def test_a_node_is_removed_only_when_that_is_meant(desk):
    async def steps(desk):
        await desk.press("d")
        await desk.sees("Take PACS (ARCHIVE@127.0.0.1:11112) out of the node book?")
        await desk.press("enter")  # the answer that is in front is no
        await desk.loses("out of the node book")
        assert desk.said == []
        await desk.press("d", "y")
        await desk.until(lambda: desk.said)
        assert desk.said == [("node", "remove", "PACS")]

    desk().drive(steps)


def test_doctor_and_snippet_are_read_aloud(desk):
    async def steps(desk):
        desk.script.on("doctor", code=69, lines=["  ok  The name has an address"], errors=("dulcet: nobody listens",))
        desk.script.on("node", "snippet", lines=["AE title   DULCET"])
        await desk.press("o")
        await desk.sees("Doctor: PACS", "The name has an address", "nobody listens")
        await desk.press("escape", "s")
        await desk.sees("For the administrator of PACS", "AE title   DULCET")
        assert desk.said == [("doctor", "--", "PACS"), ("node", "snippet", "--", "PACS")]

    desk().drive(steps)


def test_what_is_read_aloud_may_be_closed_before_its_end(desk):
    async def steps(desk):
        desk.script.on("doctor", lines=["  ok  The name has an address"], errors=("dulcet: too late",))
        desk.script.held.add(("doctor",))
        await desk.press("o")
        await desk.sees("The name has an address")
        await desk.press("escape")
        await desk.loses("Doctor: PACS")
        desk.script.started[-1].gate.set()
        await desk.press("down")
        await desk.sees("CT1")

    desk().drive(steps)


def test_a_command_that_cannot_be_started_is_a_sentence(desk):
    async def steps(desk):
        desk.script.answers["doctor",] = OSError(11, "Resource temporarily unavailable")
        await desk.press("o")
        await desk.sees("The command can't be started: Resource temporarily unavailable")

    desk().drive(steps)


ENTERED = {
    "name": "PACS", "ae_title": "A", "host": "::1", "port": "104", "calling_ae_title": "", "tls_ca": "/ca.pem",
    "tags": "ct main", "notes": "-x", "tls": "yes", "retrieve": "get",
}  # fmt: skip


def test_what_is_entered_becomes_words():
    assert add_words(ENTERED) == (
        "node", "add", "--tls-ca=/ca.pem", "--tag=ct", "--tag=main", "--notes=-x", "--tls", "--retrieve=get", "--",
        "PACS", "A@[::1]:104",
    )  # fmt: skip
    changed = {**ENTERED, "tags": "", "tls": "never", "tls_ca": "", "port": "105"}
    assert edit_words(ENTERED, changed) == (
        "node", "edit", "--port=105", "--no-tls", "--unset=tls_ca", "--unset=tags", "--", "PACS",
    )  # fmt: skip
    assert edit_words(ENTERED, ENTERED) is None


def test_the_form_finds_what_is_wrong():
    wrong = {"name": "1", "ae_title": "A" * 17, "host": "a b", "port": "x", "calling_ae_title": "\\", "tls": ""}
    for field, value in wrong.items():
        found = fault_of({**ENTERED, field: value})
        assert found is not None, field
        assert found[0] == field
    assert fault_of(ENTERED) is None
