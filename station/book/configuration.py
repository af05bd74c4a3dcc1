"""Where the configuration file, the node book and the state of the station are, and what the file says.

A setting comes from the file, the environment (`DULCET_...`) or the command line, the later ones win. This module knows
the file; what a command understands is checked where the command is known.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from dulcet.errors import ConfigurationError
from dulcet.station.book.toml_file import TOMLFile

CONFIGURATION_VARIABLE, NODE_BOOK_VARIABLE, STATE_VARIABLE = "DULCET_CONFIG", "DULCET_NODES", "DULCET_STATE"
CONFIGURATION_FILE, NODE_BOOK_FILE = "dulcet.toml", "nodes.toml"


def configuration_path(environment: Mapping[str, str] = os.environ) -> Path:
    """`DULCET_CONFIG`, or `dulcet.toml` in the user's configuration directory for dulcet."""
    named = environment.get(CONFIGURATION_VARIABLE)
    return Path(named).absolute() if named else _user_directory(environment) / CONFIGURATION_FILE


def node_book_path(environment: Mapping[str, str] = os.environ) -> Path:
    """`DULCET_NODES`, or `nodes.toml` beside the configuration file."""
    named = environment.get(NODE_BOOK_VARIABLE)
    return Path(named).absolute() if named else configuration_path(environment).parent / NODE_BOOK_FILE


def state_path(environment: Mapping[str, str] = os.environ) -> Path:
    """`DULCET_STATE`, or the user's state directory for dulcet: the queue, and what runs. It need not be there."""
    named = environment.get(STATE_VARIABLE)
    if named:
        return Path(named).absolute()
    if sys.platform in ("win32", "darwin"):
        from platformdirs import user_state_path

        return user_state_path("dulcet", appauthor=False)
    return _xdg_directory(environment, "XDG_STATE_HOME", ".local/state")


def read_configuration(environment: Mapping[str, str] = os.environ) -> TOMLFile | None:
    """The configuration file; None when there is none. ConfigurationError when it is named and missing, or not TOML."""
    path = configuration_path(environment)
    try:
        return TOMLFile.read(path)
    except FileNotFoundError:
        if environment.get(CONFIGURATION_VARIABLE):
            raise ConfigurationError(f"{CONFIGURATION_VARIABLE} names {path}, and there is no such file") from None
        return None


def _user_directory(environment: Mapping[str, str]) -> Path:
    if sys.platform in ("win32", "darwin"):
        from platformdirs import user_config_path

        return user_config_path("dulcet", appauthor=False)
    return _xdg_directory(environment, "XDG_CONFIG_HOME", ".config")


def _xdg_directory(environment: Mapping[str, str], variable: str, below_home: str) -> Path:
    # What platformdirs answers; its import costs a tenth of an echo.
    named = environment.get(variable, "").strip()
    return (Path(named) if named else Path.home() / below_home) / "dulcet"
