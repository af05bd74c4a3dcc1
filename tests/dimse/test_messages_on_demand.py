"""The messages of the normalized services are loaded when somebody needs them, and are there as if they always were."""

import subprocess
import sys

import pytest

from dulcet.dimse import messages, normalized


def test_every_name_is_there():
    assert [name for name in messages.__all__ if not hasattr(messages, name)] == []
    assert messages.NGetRQ is normalized.NGetRQ


def test_no_other_name_is():
    assert not hasattr(messages, "NSomethingRQ")
    with pytest.raises(AttributeError, match=r"module 'dulcet\.dimse\.messages' has no attribute 'Requested'"):
        messages.Requested  # noqa: B018 - of dulcet.dimse.normalized, and not for others


LOADED = "print('dulcet.dimse.normalized' in sys.modules)"
SCRIPT = f"""
import sys
from dulcet.dimse.messages import decode_message
{LOADED}
print(decode_message(bytes.fromhex(sys.argv[1])).message.NAME)
{LOADED}
"""


@pytest.mark.parametrize(
    ("case", "said"),
    [
        ("c-echo-rq", ["False", "C-ECHO-RQ", "False"]),
        ("n-get-rq", ["False", "N-GET-RQ", "True"]),
        ("n-delete-rsp", ["False", "N-DELETE-RSP", "True"]),
    ],
)
def test_a_process_that_receives_one_loads_them(golden_command_set, case, said):
    octets = golden_command_set(case).hex()
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, octets], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout.split() == said
