"""A series is called by its UID, or by a part that no other has; never is another one meant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dulcet.station.vault.naming import MIN_CHARACTERS, SHORT_CHARACTERS, WITHOUT, matching, short_names, shown

UIDS = ["1.2.840.1.77.1", "1.2.840.1.77.11", "1.3.6.1.4.2.5", "1.3.6.1.4.2.51", "2.25.12345678"]


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("1.2.840.1.77.1", ["1.2.840.1.77.1"]),  # of which another one is a continuation
        ("77.11", ["1.2.840.1.77.11"]),
        ("2.25", ["2.25.12345678"]),
        ("345678", ["2.25.12345678"]),
        ("1.3.6", ["1.3.6.1.4.2.5", "1.3.6.1.4.2.51"]),
        ("4.2.5", ["1.3.6.1.4.2.5"]),
        ("678", []),  # too short to be meant
        ("840.1", []),  # neither a beginning nor an end
        ("", []),
        ("#3", []),
    ],
)
def test_what_a_word_may_mean(word, expected):
    assert matching(word, UIDS) == expected


def test_an_end_of_one_that_is_the_beginning_of_another_is_both():
    assert matching("1.2.3", ["1.2.3.4", "9.1.2.3"]) == ["1.2.3.4", "9.1.2.3"]
    assert short_names(["1.2.3.44", "9.1.2.3"])["9.1.2.3"] == "9.1.2.3"


def test_objects_without_a_series_have_a_name():
    assert matching(WITHOUT, ["", "1.2.3"]) == [""]
    assert short_names(["", "1.2.3"]) == {"": "-", "1.2.3": "1.2.3"}


def test_what_is_no_uid_is_called_as_it_is_shown():
    hostile = "1.2\x1b[2J\n../" + "x" * 300
    name = shown(hostile)
    assert name.isprintable()
    assert len(name) <= 128
    assert matching(name, [hostile, "1.2.3"]) == [hostile]
    assert short_names([hostile, "1.2.3"])[hostile].isprintable()


@given(
    st.sets(
        st.lists(st.integers(0, 12).map(str), min_size=2, max_size=9).map(".".join) | st.text(max_size=20), max_size=30
    )
)
def test_a_short_name_names_its_series_alone(uids):
    for uid, short in short_names(uids).items():
        assert shown(uid).endswith(short)
        assert len(short) >= min(SHORT_CHARACTERS, len(shown(uid)))
        if len(short) >= MIN_CHARACTERS or short == shown(uid):
            assert matching(short, uids) in ([uid], [other for other in uids if shown(other) == shown(uid)])
