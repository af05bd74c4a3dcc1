"""The report as JUnit XML, as CI systems read it: a suite for each group, a case for each id."""

import re
from xml.etree import ElementTree

from dulcet.conformance.kit.document import Document
from dulcet.conformance.kit.report_terminal import timeline

_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd]")


def to_junit(document: Document, *, strict: bool = False) -> str:
    """The whole report. Failures of cases that are not required count only when `strict`."""
    suites: dict[str, list[Document]] = {}
    for case in document["cases"]:
        suites.setdefault(case["group"], []).append(case)
    name = f"dulcet conform {document['side']}"
    root = ElementTree.Element("testsuites", {"name": name, "time": f"{document['seconds']:.3f}"})
    totals = {"tests": 0, "failures": 0, "errors": 0, "skipped": 0}
    for group, cases in suites.items():
        counts = _suite(root, document, group, cases, strict)
        totals = {key: totals[key] + counts[key] for key in totals}
    root.attrib.update({key: str(value) for key, value in totals.items()})
    ElementTree.indent(root, " ")
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _suite(
    root: ElementTree.Element, document: Document, group: str, cases: list[Document], strict: bool
) -> dict[str, int]:
    seconds = sum(case["seconds"] for case in cases)
    attributes = {"name": group, "time": f"{seconds:.3f}", "timestamp": document["started"][:19]}
    suite = ElementTree.SubElement(root, "testsuite", attributes)
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(document):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _xml(value)})
    counts = {"tests": len(cases), "failures": 0, "errors": 0, "skipped": 0}
    for case in cases:
        kind = _case(suite, group, case, strict)
        if kind:
            counts[kind] += 1
    suite.attrib.update({key: str(value) for key, value in counts.items()})
    return counts


def _properties(document: Document) -> list[tuple[str, str]]:
    observed = document["product"]["observed"]
    interrupted = document.get("interrupted")
    return [
        *([("interrupted_by", interrupted["by"])] if interrupted else []),
        ("kit", document["kit"]["version"]),
        ("product", document["product"]["address"]),
        ("implementation_class_uid", observed["implementation_class_uid"]),
        ("implementation_version_name", observed["implementation_version_name"]),
        ("command_line", document["command_line"]),
    ]


def _case(suite: ElementTree.Element, group: str, case: Document, strict: bool) -> str:
    """The element, and which count it belongs to: failures, skipped, or none."""
    attributes = {"classname": group, "name": case["id"], "time": f"{case['seconds']:.3f}"}
    element = ElementTree.SubElement(suite, "testcase", attributes)
    counts = case["verdict"] == "FAIL" and not case["waiver"] and (strict or case["level"] == "required")
    kind = ""
    if counts:
        failure = ElementTree.SubElement(element, "failure", {"type": case["code"], "message": _xml(message(case))})
        failure.text = _xml(f"{case['requirement']} {case['clause']}\n{case['link']}\n{case['run_again']}")
        kind = "failures"
    elif case["verdict"] in ("SKIP", "INCONCLUSIVE") or case["waiver"]:
        reason = f"waived: {case['waiver']}" if case["waiver"] else f"{case['verdict']}: {case['explanation']}"
        ElementTree.SubElement(element, "skipped", {"message": _xml(reason)})
        kind = "skipped"
    said = [f"{case['verdict']} {case['code']} ({case['level']}): {case['explanation']}", *timeline(case)]
    ElementTree.SubElement(element, "system-out").text = _xml("\n".join(said))
    return kind


def message(case: Document) -> str:
    """`expected ... got ...`, or what was wrong beside the outcome."""
    if case["explanation"].startswith("expected") or not case["allowed"]:
        return str(case["explanation"])
    return f"expected {' or '.join(case['allowed'])}, got {case['observed']}: {case['explanation']}"


def _xml(text: str) -> str:
    """Without the characters that XML 1.0 can't hold."""
    return _NOT_XML.sub("?", text)
