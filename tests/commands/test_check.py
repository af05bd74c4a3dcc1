"""`dulcet check` with settings that can't be read: a monitor has one line on standard output, and 3."""


def test_a_configuration_that_can_not_be_read_is_unknown(dulcet, write, monkeypatch):
    broken = write("broken.toml", "x = [")
    monkeypatch.setenv("DULCET_CONFIG", str(broken))
    answer = dulcet("check", "X@127.0.0.1:9")
    assert answer.code == 3
    assert answer.output.startswith(f"DICOM UNKNOWN - {broken}:1: ")
    assert len(answer.output.splitlines()) == 1
    assert answer.errors == ""
    assert dulcet("echo", "X@127.0.0.1:9").code == 78
