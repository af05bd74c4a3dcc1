"""SIGHUP at a real server: what can change does, the rest is named, a faulty file changes nothing."""

import os
import signal
from dataclasses import replace

import pytest
import trio
import trustme

from dulcet.conformance.peers.address import LOOPBACK
from dulcet.errors import AssociationRejectedError, TLSError
from dulcet.services.echo import VERIFICATION_CONTEXT, echo
from dulcet.services.requestor import associate
from dulcet.services.tls import client_context

CONTEXTS = (VERIFICATION_CONTEXT,)
ALLOWED = '[serve]\nallow = ["MODALITY"]\n'
BOTH = '[serve]\nallow = ["MODALITY", "SECOND"]\nverbose = 1\nidle_timeout = 5.0\n'


async def is_let_in(peer):
    try:
        async with associate(peer, CONTEXTS) as association:
            return (await echo(association)).status == 0
    except AssociationRejectedError:
        return False


async def reloaded(server, wait_until, count=1, event="settings.read"):
    """Send SIGHUP, and give the line that answers it."""
    server.hang_up()
    return (await trio.to_thread.run_sync(wait_until, lambda: server.events(event)[count - 1 :]))[0]


async def test_who_is_let_in_changes_and_who_is_in_stays(served, wait_until, tmp_path):
    with served("--json", config=ALLOWED) as server:
        second = replace(server.peer, calling_ae_title="SECOND")
        async with associate(server.peer, CONTEXTS) as association:
            assert not await is_let_in(second)
            (tmp_path / "dulcet.toml").write_text(BOTH)
            line = await reloaded(server, wait_until)
            assert line["changed"] == ["admission", "limits", "verbose"]
            assert "needs_restart" not in line
            assert await is_let_in(second)
            assert await is_let_in(server.peer)
            assert (await echo(association)).status == 0
            (tmp_path / "dulcet.toml").write_text('[serve]\nallow = ["SECOND"]\n')
            await reloaded(server, wait_until, 2)
            assert (await echo(association)).status == 0
            assert not await is_let_in(server.peer)
        ends = await trio.to_thread.run_sync(wait_until, lambda: ends_of(server, "MODALITY", 2))
        assert ends == ["released", "released"]


def ends_of(server, title, count):
    found = [line["how"] for line in server.events("association.ended") if line["calling"] == title]
    return found if len(found) == count else None


async def test_what_needs_a_restart_is_named(served, wait_until, tmp_path):
    with served("--json", "--aet", "DULCET", config=ALLOWED) as server:
        changed = BOTH + 'workers = 4\naet = "OTHER"\nquery = true\nmin_free = "1G"\ndirectory = "elsewhere"\n'
        (tmp_path / "dulcet.toml").write_text(changed)
        line = await reloaded(server, wait_until)
        assert line["needs_restart"] == ["workers", "query", "nodes"]  # the command line says the others
        assert line["changed"] == ["admission", "limits", "verbose"]
        assert await is_let_in(replace(server.peer, calling_ae_title="SECOND"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[serve]\nallow = ["A"]\nidle_timeout = "x"\n', "dulcet.toml:3: [serve] idle_timeout: a number is expected"),
        ("[serve\n", "dulcet.toml:1: this is not TOML"),
        ("[serve]\nalow = []\n", "dulcet.toml:2: [serve] has no setting 'alow'; did you mean 'allow'"),
        ('[serve]\nallow = ["A@nonsense"]\n', "'A@nonsense'"),
        ('[serve]\ntls_key = "x.pem"\n', "--tls-key, --tls-ca and --tls-anonymous need --tls-cert"),
    ],
)
async def test_a_faulty_file_is_named_and_the_old_settings_stay(text, said, served, wait_until, tmp_path):
    with served("--json", config=ALLOWED) as server:
        (tmp_path / "dulcet.toml").write_text(text)
        line = await reloaded(server, wait_until, event="settings.fault")
        assert said in line["reason"]
        assert await is_let_in(server.peer)
        assert not await is_let_in(replace(server.peer, calling_ae_title="A"))
        (tmp_path / "dulcet.toml").write_text(BOTH)
        await reloaded(server, wait_until)
        assert await is_let_in(replace(server.peer, calling_ae_title="SECOND"))


async def test_a_new_certificate_is_used_for_who_comes_now(served, wait_until, tmp_path):
    old, new = trustme.CA(), trustme.CA()
    certificate, authorities = tmp_path / "server.pem", {old: tmp_path / "old.pem", new: tmp_path / "new.pem"}
    for authority, path in authorities.items():
        authority.cert_pem.write_to_path(str(path))
    old.issue_cert(LOOPBACK).private_key_and_cert_chain_pem.write_to_path(str(certificate))
    with served("--json", "--tls-cert", str(certificate), "--tls-anonymous") as server:
        trusts = {each: replace(server.peer, tls=client_context(ca=path)) for each, path in authorities.items()}
        async with associate(trusts[old], CONTEXTS) as association:
            new.issue_cert(LOOPBACK).private_key_and_cert_chain_pem.write_to_path(str(certificate))
            await reloaded(server, wait_until)
            assert (await echo(association)).status == 0
            assert await is_let_in(trusts[new])
            with pytest.raises(TLSError):
                await is_let_in(trusts[old])
        certificate.write_text("nonsense")
        await reloaded(server, wait_until, event="settings.fault")
        assert await is_let_in(trusts[new])


async def test_the_node_book_is_read_again_and_its_faults_are_told(served, wait_until, tmp_path):
    with served("--json", "--query") as server:
        (tmp_path / "nodes.toml").write_text('[PACS]\nae_title = "PACS"\n')
        await reloaded(server, wait_until)
        (fault,) = await trio.to_thread.run_sync(wait_until, lambda: server.events("nodes.fault"))
        assert "nodes.toml" in fault["reason"]


async def test_every_worker_reads_again_and_takes_its_share(served, wait_until, tmp_path):
    with served("--json", "--workers", "2", config=ALLOWED) as server:
        (tmp_path / "dulcet.toml").write_text(BOTH)
        server.hang_up()
        await trio.to_thread.run_sync(wait_until, lambda: len(server.events("settings.read")) == 2)
        assert {tuple(line["changed"]) for line in server.events("settings.read")} == {
            ("admission", "limits", "verbose")
        }
        for _ in range(8):  # whoever accepts
            assert await is_let_in(replace(server.peer, calling_ae_title="SECOND"))


def test_without_a_configuration_file_nothing_changes(served, wait_until, tmp_path):
    with served("--json", config=ALLOWED) as server:
        server.hang_up()
        (line,) = wait_until(lambda: server.events("settings.read"))
        assert {"changed", "needs_restart"} & set(line) == set()
        os.kill(server.running.pid, signal.SIGTERM)
        wait_until(lambda: server.events("server.stopping"))
