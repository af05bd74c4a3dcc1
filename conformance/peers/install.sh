#!/usr/bin/env bash
# Installs the peers that the interop tests and the benchmarks talk to: DCMTK, Orthanc, tshark, strace, chromium (which
# opens the reports) and tmux (a terminal for `dulcet tui`) from Debian's packages, and pynetdicom into an environment of
# its own (dulcet never depends on it).
# Runs again without harm.
set -eu

packages=()
want() { [ -x "$2" ] || packages+=("$1"); }
want dcmtk /usr/bin/storescp
want orthanc /usr/sbin/Orthanc
want tshark /usr/bin/tshark
want strace /usr/bin/strace
want chromium /usr/bin/chromium
want tmux /usr/bin/tmux

if [ "${#packages[@]}" -gt 0 ]; then
  if ! command -v apt-get >/dev/null; then
    echo "install.sh: no apt-get here. Install ${packages[*]} with your system's package manager, or use compose.yaml." >&2
    exit 1
  fi
  if [ "$(id -u)" -ne 0 ]; then
    echo "install.sh: installing packages needs root. Run:" >&2
    echo "  sudo apt-get update && sudo apt-get install -y --no-install-recommends ${packages[*]}" >&2
    exit 1
  fi
  export DEBIAN_FRONTEND=noninteractive
  # The packages would start servers on the ports 104, 4242 and 8042; the tests start their own on free ports.
  policy=/usr/sbin/policy-rc.d
  if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod +x "$policy"
    trap 'rm -f "$policy"' EXIT
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

# The same place as `pynetdicom_python()` in pynetdicom.py.
environment="${XDG_CACHE_HOME:-$HOME/.cache}/dulcet/peers/pynetdicom"
if ! "$environment/bin/python" -I -c 'import pynetdicom' 2>/dev/null; then
  python=$(command -v python3.11 || command -v python3)
  rm -rf "$environment"
  mkdir -p "$(dirname "$environment")"
  "$python" -m venv "$environment"
  "$environment/bin/pip" install --quiet --disable-pip-version-check 'pynetdicom>=3,<4'
fi

storescp --version | head -1
/usr/sbin/Orthanc --version 2>/dev/null | head -1
tshark --version 2>/dev/null | head -1
strace --version | head -1
chromium --version --no-sandbox 2>/dev/null | head -1
tmux -V
"$environment/bin/python" -I -c 'import pynetdicom; print("pynetdicom", pynetdicom.__version__)'
