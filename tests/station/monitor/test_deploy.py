"""deploy/: the unit, the container and the example, as far as they can be tried without root."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

import dulcet
from dulcet.cli import cli

DEPLOY = Path(dulcet.__file__).parent / "deploy"
MOST_EXPOSURE = 2.5  # of 10, as `systemd-analyze security` counts

SANDBOX = {
    "DynamicUser": ["yes"],
    "ProtectSystem": ["strict"],
    "ProtectHome": ["yes"],
    "PrivateTmp": ["yes"],
    "PrivateDevices": ["yes"],
    "NoNewPrivileges": ["yes"],
    "CapabilityBoundingSet": [""],
    "StateDirectory": ["dulcet"],
    "UMask": ["0077"],
    "SystemCallFilter": ["@system-service", "~@privileged @keyring @memlock @resources", "setrlimit prlimit64"],
    "MemoryMax": ["2G"],
    "LimitNOFILE": ["4096"],
    "Type": ["notify"],
    "ExecReload": ["/bin/kill -HUP $MAINPID"],
}


def unit():
    """{section: {name: [values]}} of the unit."""
    sections = {}
    for line in (DEPLOY / "dulcet.service").read_text().splitlines():
        if line.startswith("["):
            found = sections[line.strip("[]")] = {}
        elif line and not line.startswith("#"):
            name, _, value = line.partition("=")
            assert re.fullmatch(r"[A-Z][A-Za-z0-9]+", name), line
            found.setdefault(name, []).append(value)
    return sections


def parsed(words):
    """A command line of dulcet: its command, and the values of its options."""
    assert words[0].endswith("dulcet")
    program = click.Context(cli, info_name="dulcet")
    command = cli.get_command(program, words[1])
    with command.make_context(words[1], list(words[2:]), program) as context:
        return words[1], dict(context.params)


def test_the_unit_has_the_sandbox_that_is_promised():
    service = unit()["Service"]
    assert {name: service[name] for name in SANDBOX} == SANDBOX
    assert set(unit()) == {"Unit", "Service", "Install"}


def test_what_the_unit_starts_can_be_started():
    service = unit()["Service"]
    name, options = parsed(shlex.split(service["ExecStart"][0]))
    assert (name, options["as_json"], options["http"]) == ("serve", True, "127.0.0.1:9112")
    assert options["directory"].is_relative_to(f"/var/lib/{service['StateDirectory'][0]}")
    environment = dict(pair.split("=", 1) for pair in service["Environment"][0].split())
    assert environment["XDG_STATE_HOME"] == "/var/lib"
    assert environment["XDG_CONFIG_HOME"] == "/etc"
    assert options["grace"] < int(service["TimeoutStopSec"][0])


def test_systemd_has_nothing_to_say_against_it(tmp_path):
    """With the program of this environment, since systemd looks whether it is there."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("systemd is not installed")
    text = (DEPLOY / "dulcet.service").read_text()
    program = tmp_path / "dulcet"
    program.symlink_to(sys.executable)
    path = tmp_path / "dulcet.service"
    path.write_text(text.replace("/usr/local/bin/dulcet", str(program)))
    verified = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(path)], capture_output=True, text=True, check=False
    )
    assert (verified.returncode, verified.stdout + verified.stderr) == (0, "")
    security = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", str(path)],
        capture_output=True,
        text=True,
        check=True,
        env={"LANG": "C.UTF-8", "PATH": "/usr/bin:/bin"},
    )
    exposure = re.search(r"Overall exposure level for dulcet.service: ([\d.]+)", security.stdout)
    assert float(exposure[1]) <= MOST_EXPOSURE


# The container --------------------------------------------------------------------------------------------------------


def instructions():
    """(name, words) of the Containerfile's last stage."""
    text = re.sub(r"\\\n", " ", (DEPLOY / "Containerfile").read_text())
    lines = [line.split(maxsplit=1) for line in text.splitlines() if line and not line.startswith("#")]
    last = max(at for at, (name, _) in enumerate(lines) if name == "FROM")
    return [(name, " ".join(words.split())) for name, words in lines[last:]]


def one(name):
    (found,) = [words for each, words in instructions() if each == name]
    return found


def test_the_container_is_nobody_and_writes_to_one_place():
    uid, gid = one("USER").split(":")
    assert int(uid) > 1000
    assert uid == gid
    names = [name for name, _ in instructions()]
    assert names.index("USER") > max(at for at, name in enumerate(names) if name in ("RUN", "COPY"))
    assert one("VOLUME") == "/var/lib/dulcet"
    assert one("STOPSIGNAL") == "SIGTERM"


def test_what_the_container_starts_can_be_started():
    name, options = parsed([*json.loads(one("ENTRYPOINT")), *json.loads(one("CMD"))])
    assert name == "serve"
    assert options["port"] == int(one("EXPOSE"))
    assert options["directory"].is_relative_to(one("VOLUME"))
    health = one("HEALTHCHECK").split("CMD ", 1)[1]
    name, asked = parsed(json.loads(health))
    assert (name, asked["healthz"]) == ("check", options["http"])


def nested(text):
    """What the example says, from the plain part of YAML that it is written in: mappings, lists, scalars."""
    root = {}
    stack = [(-1, root, None)]
    for line in text.splitlines():
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        indent, words = len(line) - len(line.lstrip()), line.strip()
        while indent <= stack[-1][0]:
            stack.pop()
        _, parent, key = stack[-1]
        if words.startswith("- "):
            if not isinstance(parent, list):
                grand = stack[-2][1]
                parent = grand[key] = grand[key] if isinstance(grand[key], list) else []
            parent.append(words[2:].strip('"'))
            continue
        name, colon, value = words.partition(":")
        assert colon, line
        parent[name] = value.strip().strip('"') if value.strip() else {}
        if not value.strip():
            stack.append((indent, parent[name], name))
    return root


def test_the_example_gives_the_container_nothing_that_it_does_not_need():
    found = nested((DEPLOY / "compose.yaml").read_text())
    service = found["services"]["dulcet"]
    assert service["read_only"] == "true"
    assert service["user"] == one("USER")
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service["init"] == "true"
    assert (DEPLOY / service["build"]["context"] / service["build"]["dockerfile"]).resolve() == DEPLOY / "Containerfile"
    volumes = dict(each.split(":")[:2] for each in service["volumes"])
    assert set(volumes.values()) == {"/etc/dulcet", "/var/lib/dulcet"}
    assert volumes.keys() & found["volumes"].keys() == {"received"}
    assert service["ports"] == [f"{one('EXPOSE')}:{one('EXPOSE')}"]
