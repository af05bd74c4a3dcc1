"""Real peers as processes on this machine: DCMTK, Orthanc, pynetdicom.

Each is a context manager that gives a `RunningPeer` once it accepts connections, and ends its own process when left.
`install.sh` installs them on Debian; `compose.yaml` has those that Debian does not.
"""
