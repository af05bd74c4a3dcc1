"""The text format 0.0.4 of Prometheus, read strictly: what its own tools would refuse is a ValueError here."""

import math
import re

NAME = r"[a-zA-Z_:][a-zA-Z0-9_:]*"
LABEL = r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\[\\"n])*)"'
SAMPLE = re.compile(rf"({NAME})(?:\{{((?:{LABEL})(?:,{LABEL})*)\}})? (\S+)(?: \d+)?")
TYPES = {"counter", "gauge", "histogram", "summary", "untyped"}


def parse(text):
    """{family: (type, {(name, frozenset of labels): value})}"""
    if not text.endswith("\n"):
        raise ValueError("the last line has no end")
    families, helps, current = {}, set(), None
    for line in text.splitlines():
        if line.startswith("# HELP "):
            name = re.fullmatch(rf"# HELP ({NAME}) (.+)", line)[1]
            if name in helps:
                raise ValueError(f"{name} has two HELP lines")
            helps.add(name)
            current = None
        elif line.startswith("# TYPE "):
            _, _, name, kind = line.split(" ")
            if kind not in TYPES or name in families or name not in helps:
                raise ValueError(line)
            families[name], current = (kind, {}), name
        elif line.startswith("#") or not line:
            raise ValueError(f"unexpected: {line!r}")
        else:
            _sample(line, current, families)
    for name, (kind, samples) in families.items():
        _check(name, kind, samples)
    return families


def _sample(line, current, families):
    match = SAMPLE.fullmatch(line)
    if match is None or current is None:
        raise ValueError(f"no sample, or of no family: {line!r}")
    name, labels, value = match[1], match[2] or "", float(match[match.lastindex])
    kind, samples = families[current]
    endings = {"histogram": ("_bucket", "_sum", "_count")}.get(kind, ("",))
    if name not in {current + ending for ending in endings}:
        raise ValueError(f"{name} is not of {current}")
    pairs = [
        (key, re.sub(r"\\(.)", lambda one: {"n": "\n"}.get(one[1], one[1]), text))
        for key, text in re.findall(LABEL, labels)
    ]
    if len(dict(pairs)) != len(pairs):
        raise ValueError(f"a label is there twice: {line!r}")
    key = name, frozenset(pairs)
    if key in samples:
        raise ValueError(f"this series is there twice: {line!r}")
    samples[key] = value


def _check(name, kind, samples):
    if not samples:
        raise ValueError(f"{name} has no sample")
    if kind == "counter" and not (name.endswith("_total") and all(value >= 0 for value in samples.values())):
        raise ValueError(f"{name} is no counter")
    if kind == "histogram":
        buckets = sorted(
            (float(dict(labels)["le"]), value) for (each, labels), value in samples.items() if each == f"{name}_bucket"
        )
        counts = [value for _, value in buckets]
        if counts != sorted(counts) or not math.isinf(buckets[-1][0]):
            raise ValueError(f"the buckets of {name} are not cumulative")
        if samples[f"{name}_count", frozenset()] != counts[-1]:
            raise ValueError(f"{name}_count is not that of the last bucket")


def value(families, family, name=None, **labels):
    """One sample; KeyError when there is none."""
    return families[family][1][name or family, frozenset(labels.items())]
