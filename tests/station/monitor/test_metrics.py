"""Numbers in Prometheus' text format, as its own tools would read them."""

import pytest

from dulcet.station.monitor.metrics import BUCKETS, FAMILIES, Histogram, add_up, family_of, latest, render, series


@pytest.mark.parametrize(
    "text",
    [
        "a 1",
        "# TYPE a gauge\na 1\n",
        "# HELP a b\n# TYPE a gauge\n",
        "# HELP a b\n# TYPE a gauge\na 1\na 1\n",
        "# HELP a b\n# TYPE a gauge\nb 1\n",
        "# HELP a b\n# TYPE a gauge\na x\n",
        '# HELP a b\n# TYPE a gauge\na{b="c\\d"} 1\n',
        '# HELP a b\n# TYPE a gauge\na{b="c",b="d"} 1\n',
        "# HELP a b\n# TYPE a counter\na 1\n",
        "# HELP a_total b\n# TYPE a_total counter\na_total -1\n",
        "# HELP a b\n# TYPE a meter\na 1\n",
        '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 2\na_bucket{le="+Inf"} 1\na_sum 1\na_count 1\n',
        '# HELP a b\n# TYPE a histogram\na_bucket{le="1"} 1\na_sum 1\na_count 1\n',
        "# HELP a b\n# TYPE a gauge\na 1\n\n",
    ],
)
def test_the_reader_refuses_what_is_no_text_format(text, prometheus):
    with pytest.raises(ValueError):  # noqa: PT011
        prometheus.parse(text)


def test_every_family_has_a_name_a_type_and_a_help():
    for name, (kind, meaning) in FAMILIES.items():
        assert name.startswith("dulcet_")
        assert (kind == "counter") == name.endswith("_total"), name
        assert meaning.endswith(".")
        assert "\n" not in meaning
        assert "\\" not in meaning


@pytest.mark.parametrize("title", ["CT1", 'A"B', "A\\B", "A\nB", "A{B}", "Zürich", "\x1b[31m", "", "a,b", "x" * 300])
def test_whatever_a_peer_is_called_the_text_can_be_read(title, prometheus):
    numbers = {series("dulcet_last_object_age_seconds", calling=title): 1.5, "dulcet_processes": 1}
    families = prometheus.parse(render(numbers))
    ((name, labels),) = families["dulcet_last_object_age_seconds"][1]
    assert name == "dulcet_last_object_age_seconds"
    ((label, shown),) = labels
    assert label == "calling"
    assert shown.isascii()
    assert shown.isprintable() or not shown
    assert len(shown) <= 200


def test_two_titles_that_differ_are_two_series():
    assert len({series("a", calling=title) for title in ("A", "a", "A ", 'A"', "A\\", "A\\x22", "A\n")}) == 7


def test_a_histogram_is_cumulative(prometheus):
    histogram = Histogram("dulcet_store_seconds")
    for seconds in (0.001, 0.005, 0.006, 2.0, 1000.0):
        histogram.observe(seconds)
    families = prometheus.parse(render(histogram.series()))
    value = prometheus.value
    bucket = "dulcet_store_seconds_bucket"
    assert value(families, "dulcet_store_seconds", bucket, le="0.005") == 2
    assert value(families, "dulcet_store_seconds", bucket, le="0.01") == 3
    assert value(families, "dulcet_store_seconds", bucket, le="60") == 4
    assert value(families, "dulcet_store_seconds", bucket, le="+Inf") == 5
    assert value(families, "dulcet_store_seconds", "dulcet_store_seconds_sum") == pytest.approx(1002.012)
    assert len(families["dulcet_store_seconds"][1]) == len(BUCKETS) + 3


def test_processes_are_added_up_by_series(prometheus):
    histograms = [Histogram("dulcet_store_seconds"), Histogram("dulcet_store_seconds")]
    histograms[0].observe(0.001)
    histograms[1].observe(3)
    sums = add_up([histograms[0].series(), histograms[1].series(), {"dulcet_sent_objects_total": 2}])
    families = prometheus.parse(render(sums))
    assert prometheus.value(families, "dulcet_store_seconds", "dulcet_store_seconds_count") == 2
    assert prometheus.value(families, "dulcet_sent_objects_total") == 2


def test_of_moments_the_latest_count_and_not_more_than_there_may_be():
    found = latest([{"a": 1, "b": 5}, {"a": 3, "c": 2}], most=2)
    assert found == {"b": 5, "a": 3}


def test_a_series_of_no_family_is_left_out():
    assert render({"dulcet_unknown_total": 1, "x\ny 1\n": 2, "dulcet_processes": 1}).count("\n") == 3
    assert family_of("dulcet_processes_bucket") is None
    assert family_of("dulcet_store_seconds_bucket") == "dulcet_store_seconds"


@pytest.mark.parametrize(("number", "shown"), [(1, "1"), (1.0, "1"), (0.25, "0.25"), (1e15, "1000000000000000")])
def test_numbers_are_written_as_short_as_they_are(number, shown):
    assert render({"dulcet_processes": number}).splitlines()[-1] == f"dulcet_processes {shown}"
