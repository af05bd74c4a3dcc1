"""Where the configuration file, the node book and the state are."""

from pathlib import Path

import platformdirs
import pytest

from dulcet.errors import ConfigurationError
from dulcet.station.book.configuration import configuration_path, node_book_path, read_configuration, state_path


@pytest.mark.parametrize("directory", ["/somewhere", "", "  "])
def test_the_place_is_the_one_that_platformdirs_knows(monkeypatch, directory):
    monkeypatch.setenv("XDG_CONFIG_HOME", directory)
    expected = platformdirs.user_config_path("dulcet", appauthor=False)
    assert configuration_path({"XDG_CONFIG_HOME": directory}) == expected / "dulcet.toml"
    assert node_book_path({"XDG_CONFIG_HOME": directory}) == expected / "nodes.toml"
    monkeypatch.setenv("XDG_STATE_HOME", directory)
    assert state_path({"XDG_STATE_HOME": directory}) == platformdirs.user_state_path("dulcet", appauthor=False)


def test_other_systems_have_other_places(monkeypatch):
    monkeypatch.setattr("dulcet.station.book.configuration.sys.platform", "darwin")
    monkeypatch.setattr("platformdirs.user_config_path", lambda name, appauthor: Path("/Library") / name)
    assert configuration_path({}) == Path("/Library/dulcet/dulcet.toml")
    monkeypatch.setattr("platformdirs.user_state_path", lambda name, appauthor: Path("/State") / name)
    assert state_path({}) == Path("/State/dulcet")


def test_a_variable_names_each_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert configuration_path({"DULCET_CONFIG": "site.toml"}) == tmp_path / "site.toml"
    assert node_book_path({"DULCET_CONFIG": "/etc/site.toml"}) == Path("/etc/nodes.toml")
    assert state_path({"DULCET_STATE": "state"}) == tmp_path / "state"
    assert node_book_path({"DULCET_CONFIG": "/etc/site.toml", "DULCET_NODES": "n.toml"}) == tmp_path / "n.toml"
    assert node_book_path({"DULCET_NODES": "", "DULCET_CONFIG": "", "XDG_CONFIG_HOME": "/x"}) == Path(
        "/x/dulcet/nodes.toml"
    )


def test_no_file_is_no_fault_unless_it_was_named(tmp_path):
    assert read_configuration({"XDG_CONFIG_HOME": str(tmp_path)}) is None
    with pytest.raises(ConfigurationError, match=r"DULCET_CONFIG names .*/none\.toml, and there is no such file"):
        read_configuration({"DULCET_CONFIG": str(tmp_path / "none.toml")})


def test_what_the_file_says_is_read(tmp_path):
    (tmp_path / "site.toml").write_text("[dulcet]\naet = 'WS1'\n")
    file = read_configuration({"DULCET_CONFIG": str(tmp_path / "site.toml")})
    assert file is not None
    assert file.values == {"dulcet": {"aet": "WS1"}}
