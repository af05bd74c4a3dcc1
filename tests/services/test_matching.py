"""Attribute matching, PS3.4 C.2.2.2: each type of matching with what it takes and what it does not."""

import fnmatch
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dulcet.services.querying.matching import MAX_KEY_CHARACTERS, Kind, combined, compile_key, wild_card

MATCHES = [
    # Single value: exact and case-sensitive, padding is no part of it
    ("LO", "ABC", "ABC", True),
    ("LO", "ABC ", " ABC", True),
    ("LO", "ABC", "abc", False),
    ("LO", "ABC", "ABCD", False),
    ("CS", "CT", "CT", True),
    ("UI", "1.2.3", "1.2.3\0", True),
    ("UI", "1.2.3", "1.2.30", False),
    ("LT", "a\\b", "a\\b", True),  # a backslash is a character of the text
    ("LT", "a", "a\\b", False),
    ("IS", "7", "07", True),
    ("IS", "7", "+7 ", True),
    ("DS", "1.50", "1.5", True),
    ("IS", "x", "x", True),
    ("US", "512", "512", True),
    # C.2.2.3: of several values one is enough
    ("CS", "PRIMARY", "ORIGINAL\\PRIMARY\\AXIAL", True),
    ("CS", "AXIAL ", "ORIGINAL\\PRIMARY\\ AXIAL", True),
    # Lists
    ("UI", "1.2\\1.3", "1.3", True),
    ("UI", "1.2\\1.3", "1.4", False),
    ("CS", "CT\\MR", "PT\\MR", True),
    # Wild cards
    ("LO", "A*", "ABC", True),
    ("LO", "*C", "ABC", True),
    ("LO", "A?C", "ABC", True),
    ("LO", "A?C", "AC", False),
    ("LO", "?*?", "A", False),
    ("LO", "*B*B*", "ABCB", True),
    ("LO", "*B*B*", "ABC", False),
    ("LO", "a*", "ABC", False),
    ("LO", "*a?c*", "xxaabcyy", True),
    ("LO", "A*A", "A", False),  # the two may not be the same
    ("SH", "A.C*", "ABCD", False),  # a point is a point
    ("SH", "[A-C]*", "A", False),
    ("CS", "C*", "MR\\CT", True),
    ("UI", "1.2.*", "1.2.3", False),  # not for UIDs
    ("DA", "20260105", "20260105", True),
    # Dates by their meaning
    ("DA", "20260105", "2026.01.05", True),
    ("DA", "2026.01.05", "20260105", True),
    ("DA", "20260101-20260131", "20260131", True),
    ("DA", "20260101 - 20260131", "20260101", True),
    ("DA", "20260101-20260131", "20260201", False),
    ("DA", "-20260131", "19000101", True),
    ("DA", "-20260131", "20260201", False),
    ("DA", "20260101-", "20251231", False),
    ("DA", "20260101-", "20260101", True),
    ("DA", "20260101-", "yesterday", False),
    # Times
    ("TM", "2230", "223000", True),
    ("TM", "2230", "223059.5", True),  # a key that leaves out seconds covers the minute
    ("TM", "2230", "223100", False),
    ("TM", "223000", "2230", True),
    ("TM", "22:30:00", "223000.000000", True),
    ("TM", "10:30-", "1030", True),
    ("TM", "1000-1800", "180059", True),
    ("TM", "1000-1800", "1801", False),
    ("TM", "1000-1800", "095959.999999", False),
    ("TM", "-1200", "000000", True),
    ("TM", "1800-1000", "1900", False),  # C.2.2.2.5.2: not across midnight
    ("TM", "1200-", "1159", False),
    ("TM", "101010.5", "101010.500000", True),
    # Dates with times
    ("DT", "19980128103000", "19980128103000.0000", True),
    ("DT", "19980128103000+0000", "19980128073000-0300", True),
    ("DT", "19980128103000+0000", "19980128103000-0300", False),
    ("DT", "1998", "19980615", True),
    ("DT", "199801-199803", "19980331235959", True),
    ("DT", "199801-199803", "19980401", False),
    ("DT", "19980128073000-0300", "19980128103000+0000", True),
    ("DT", "19980128073000-0300-19980128093000-0300", "19980128113000+0000", True),
    ("DT", "19980128073000-0300-19980128093000-0300", "19980128133000+0000", False),
    ("DT", "19980128073000-0300-", "19980128103000+0000", True),
    ("DT", "-19980128073000-0300", "19980128103001+0000", False),
    # Person names
    ("PN", "DOE^JOHN", "Doe^John", True),
    ("PN", "DOE^JOHN", "DOE^JOHN^^", True),
    ("PN", "DOE^JOHN^^^", "Doe^John", True),
    ("PN", "DOE ^ JOHN", "DOE^JOHN", True),
    ("PN", "DOE", "DOE^JOHN", False),
    ("PN", "doe*", "DOE^JOHN", True),
    ("PN", "*john*", "DOE^JOHN^H", True),
    ("PN", "DOE^*", "DOE", True),
    ("PN", "DOE^*", "DOES^J", False),
    ("PN", "Wang^XiaoDong", "Wang^XiaoDong=王^小東", True),
    ("PN", "王^小東", "Wang^XiaoDong=王^小東", True),
    ("PN", "王*", "Wang^XiaoDong=王^小東=", True),
    ("PN", "Wang*=王*", "Wang^XiaoDong=王^小東", True),
    ("PN", "Wang*=李*", "Wang^XiaoDong=王^小東", False),
    ("PN", "=王*", "Wang^XiaoDong=王^小東", True),
    ("PN", "Wang^XiaoDong=王^小東", "Wang^XiaoDong", False),
    ("PN", "ÄNGSTRÖM*", "Ängström^Åsa", True),
    ("PN", "a\u0308ngstro\u0308m", "Ängström", True),  # composed or not
    ("PN", "DOE*", "ROE^J\\DOE^J", True),
    # An unknown value matches universal keys alone
    ("LO", "?", "", False),
    ("LO", "A", "", False),
    ("DA", "20260101-", "", False),
    ("PN", "A*", "", False),
]


@pytest.mark.parametrize(("vr", "key", "value", "is_match"), MATCHES)
def test_match(vr, key, value, is_match):
    assert compile_key(vr, key).accepts(value) is is_match


@pytest.mark.parametrize("vr", ["LO", "PN", "DA", "UI", "IS", "LT", "US"])
@pytest.mark.parametrize("key", ["", "  ", "*", "**", "\0"])
@pytest.mark.parametrize("value", ["", "anything", "1"])
def test_a_universal_key_matches_everything(vr, key, value):
    compiled = compile_key(vr, key)
    assert compiled.kind is Kind.UNIVERSAL
    assert compiled.accepts(value)


@pytest.mark.parametrize(
    ("vr", "key", "kind"),
    [
        ("LO", "A", Kind.SINGLE_VALUE),
        ("UI", "1.2", Kind.SINGLE_VALUE),
        ("UI", "1.2\\1.3", Kind.LIST),
        ("UI", "1.2\\1.2", Kind.SINGLE_VALUE),
        ("UI", "\\", Kind.UNIVERSAL),
        ("LO", "A?", Kind.WILD_CARD),
        ("DA", "20260101", Kind.SINGLE_VALUE),
        ("DA", "20260101-", Kind.RANGE),
        ("DT", "20260101-0500", Kind.SINGLE_VALUE),
    ],
)
def test_the_kind_of_a_key(vr, key, kind):
    assert compile_key(vr, key).kind is kind


@pytest.mark.parametrize(
    ("vr", "key"),
    [
        ("DA", "tomorrow"),
        ("DA", "2026"),
        ("DA", "20260131-20260101"),
        ("DA", "-"),
        ("DA", "20260101-x"),
        ("TM", "1"),
        ("DT", "x-y"),
        ("LO", "*" + "A" * 1024),
        ("UI", "1" * (MAX_KEY_CHARACTERS + 1)),
    ],
)
def test_what_is_no_key(vr, key):
    with pytest.raises(ValueError, match=r"\w+ \w+"):
        compile_key(vr, key)


def test_a_range_of_dates_and_one_of_times_are_a_range_of_moments():
    """PS3.4 C.2.2.2.5.4, its own example."""
    accepts = combined(compile_key("DA", "20060705-20060707"), compile_key("TM", "1000-1800"))
    moments = ("20060705 0959", "20060705 1000", "20060706 0300", "20060707 1800", "20060707 1801")
    assert [accepts(*moment.split()) for moment in moments] == [False, True, True, True, False]
    assert accepts("20060706", "")
    assert not accepts("", "1200")


def test_a_range_of_moments_across_midnight():
    accepts = combined(compile_key("DA", "20260105-20260106"), compile_key("TM", "1200-0900"))
    moments = ("20260105 1159", "20260105 1200", "20260106 0900", "20260106 0901")
    assert [accepts(*moment.split()) for moment in moments] == [False, True, True, False]


@pytest.mark.parametrize(
    ("date", "clock", "moments"),
    [
        ("20060705-", "1000-", [(("20060706", "0100"), True), (("20060705", "0959"), False)]),
        ("-20060705", "-1000", [(("20060704", "2300"), True), (("20060705", "1001"), False)]),
    ],
)
def test_open_ranges_combine_too(date, clock, moments):
    accepts = combined(compile_key("DA", date), compile_key("TM", clock))
    for moment, expected in moments:
        assert accepts(*moment) is expected


@pytest.mark.parametrize(
    ("date", "clock"), [("20060705", "1000-1800"), ("20060705-", "-1000"), ("20060705-20060707", "1000"), ("", "1000-")]
)
def test_other_forms_do_not_combine(date, clock):
    assert combined(compile_key("DA", date), compile_key("TM", clock)) is None


@settings(max_examples=300, deadline=None)
@given(st.text("ab*?", max_size=10), st.text("ab", max_size=12))
def test_wild_cards_are_those_of_fnmatch(pattern, value):
    assert wild_card(pattern)(value) is fnmatch.fnmatchcase(value, pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "*a" * 500 + "*b",
        "*" + "a?" * 500 + "b*",
        "?" * 1000 + "*b",
        "*" + "?a" * 250 + "*" + "?b" * 250,
        "*" * 1000 + "b",
    ],
)
def test_a_hostile_pattern_takes_linear_time(pattern):
    """reliability: no backtracking; a regular expression would need longer than the universe has."""
    accepts = wild_card(pattern)
    started = time.thread_time()  # the processor's: this process may be held up
    accepts("a" * 4096)
    assert time.thread_time() - started < 0.5
