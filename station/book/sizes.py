"""Octets as people write them."""

from dulcet.errors import ConfigurationError
from dulcet.escape import quote

_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}


def octets_of(value: object) -> int:
    """`500M`, `4G`, `1048576`, in the decimal units of disks and networks; ConfigurationError for what is no size."""
    text = str(value).strip().lower().removesuffix("b")
    unit = text[-1:] if text[-1:] in tuple("kmgt") else ""
    number = text.removesuffix(unit) if unit else text
    if isinstance(value, bool) or not (number.isascii() and number.isdigit()):
        raise ConfigurationError(f"{quote(str(value))!r} is no size: write 500M or 4G")
    return int(number) * _UNITS[unit]
