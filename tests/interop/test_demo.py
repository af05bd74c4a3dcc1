"""`dulcet demo`: the whole story with our own archive and with Orthanc."""


def test_the_demo_tells_the_whole_story(dulcet, orthanc):
    ran = dulcet("demo")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "24 of 24 data sets are octet for octet what was sent." in ran.stdout
    assert "The same with Orthanc as the archive" in ran.stdout
    assert "What to try next" in ran.stdout
