"""The names that the package offers, and what importing it costs."""

import subprocess
import sys

import pytest

import dulcet


def test_each_name_is_there():
    assert set(dulcet.__all__) == set(dulcet._HOMES)
    for name in dulcet.__all__:
        assert getattr(dulcet, name).__doc__ or name == "ECHO"


def test_a_name_that_is_not_there():
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = dulcet.nonsense


@pytest.mark.parametrize("command", ["import dulcet", "from dulcet import decode_pdu, Connection"])
def test_the_core_loads_no_shell(command):
    program = (
        f"{command}; import sys; print(sorted({{'trio', 'pydicom', 'rich', 'click', 'sqlite3'}} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"
