"""Octets as people write them."""

import re

from dulcet.errors import ConfigurationError
from dulcet.escape import quoted

_UNITS = {"": 1, "K": 1000, "M": 1000**2, "G": 1000**3, "T": 1000**4}
_SIZE = re.compile(r"(\d{1,15}(?:\.\d{1,6})?)([KMGT]?)B?", re.ASCII | re.IGNORECASE)


def octets_of(value: object) -> int:
    """`500M`, `2.5G`, `1048576`, in the decimal units of disks and networks; ConfigurationError for what is no size."""
    matched = None if isinstance(value, bool) else _SIZE.fullmatch(str(value).strip())
    if matched is None:
        raise ConfigurationError(f"{quoted(str(value))} is no size: write 500M or 4G")
    return round(float(matched[1]) * _UNITS[matched[2].upper()])
