"""From a clause as people write it to its page on dicom.nema.org."""

import re

_PAGES = "https://dicom.nema.org/medical/dicom/current/output/chtml"

_SECTION_OF_TABLE = {
    "PS3.8": {
        "9-10": "9.2.3",
        "9-11": "9.3.2",
        "9-12": "9.3.2.1",
        "9-13": "9.3.2.2",
        "9-14": "9.3.2.2.1",
        "9-15": "9.3.2.2.2",
        "9-16": "9.3.2.3",
        "9-17": "9.3.3",
        "9-18": "9.3.3.2",
        "9-21": "9.3.4",
        "9-22": "9.3.5",
        "9-23": "9.3.5.1",
        "9-24": "9.3.6",
        "9-25": "9.3.7",
        "9-26": "9.3.8",
    },
    "PS3.7": {
        "9.3-1": "9.3.1.1",
        "9.3-2": "9.3.1.2",
        "9.3-3": "9.3.2.1",
        "9.3-4": "9.3.2.2",
        "9.3-5": "9.3.2.3",
        "9.3-12": "9.3.5.1",
        "9.3-13": "9.3.5.2",
    },
}
_CLAUSE = re.compile(r"PS3\.(\d+)(?: (Table|Annex))?(?: ([A-Z0-9][A-Z0-9.-]*))?")


def link(clause: str) -> str:
    """The page of the first clause that the text names (`PS3.8 9.3.2`, `PS3.8 Table 9-17`); "" when it names none."""
    found = _CLAUSE.match(clause)
    if found is None:
        return ""
    part, kind, number = found.groups()
    directory = f"{_PAGES}/part{int(part):02d}"
    if number is None:
        return f"{directory}/PS3.{part}.html"
    if kind == "Table":
        number = _SECTION_OF_TABLE.get(f"PS3.{part}", {}).get(number, number.partition("-")[0])
    if "." not in number:
        return f"{directory}/chapter_{number}.html"
    return f"{directory}/sect_{number}.html"
