"""`dulcet route`: the rules that forward what arrives."""

import json
from pathlib import Path
from typing import Any

import click

from dulcet.commands.options import FILE
from dulcet.commands.settings import in_force
from dulcet.errors import NoInputError, NotDICOMError
from dulcet.escape import quote
from dulcet.station.book.configuration import configuration_path
from dulcet.station.events import json_head
from dulcet.station.figures import rate
from dulcet.station.forwarding.route import Route, Subject
from dulcet.station.forwarding.routes import Decision, OwnEntity, Routes
from dulcet.station.queue.showing import table

EXIT_NOWHERE = 1


@click.group()
def route() -> None:
    """The rules that forward what arrives at `dulcet serve`: tables [[route]] of the configuration file.

    \b
    [[route]]
    name = "CT to the archive"
    from = "CT*"
    to = ["PACS"]
    """


@route.command("list")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
@click.pass_context
def list_routes(ctx: click.Context, as_json: bool) -> int:
    """List the rules in their order, with where each stands."""
    routes = _read(ctx).routes
    if as_json:
        for each in routes:
            click.echo(json.dumps(_line(each)))
    elif routes:
        headings = ("NAME", "FROM", "OBJECTS", "TO", "HOW", "PLACE")
        for line in table([headings, *map(_row, routes)]):
            click.echo(line)
    else:
        click.echo(f"no rules in {configuration_path()}: nothing is forwarded", err=True)
    return 0


@route.command()
@click.argument("file", type=FILE)
@click.option("--from", "calling", required=True, metavar="AET", help="The AE title of who sends it.")
@click.option("--called", metavar="AET", help="The AE title that we are called by. [default: that of serve]")
@click.option("--json", "as_json", is_flag=True, help="JSON Lines on standard output.")
@click.pass_context
def test(ctx: click.Context, file: Path, calling: str, called: str | None, as_json: bool) -> int:
    """Say where FILE would go if AET sent it, and why it would not go elsewhere; nothing is sent.

    The exit code is 1 when it would go nowhere.
    """
    routes = _read(ctx)
    subject = _subject(file, calling, called or (routes.own.ae_title if routes.own is not None else ""))
    decisions = list(routes.decide(subject))
    if as_json:
        for decision in decisions:
            click.echo(json.dumps(_decision(decision)))
    else:
        modality = quote(subject.modality or "") or "none"
        click.echo(f"SOP class {quote(subject.sop_class_uid)}, modality {modality}, from {quote(subject.calling)}")
        for decision in decisions:
            click.echo(_sentence(decision))
        if not decisions:
            click.echo(f"no rules in {configuration_path()}: nothing is forwarded", err=True)
    return 0 if any(not decision.refusal for decision in decisions) else EXIT_NOWHERE


def _read(ctx: click.Context) -> Routes:
    serve = in_force(ctx, "serve")
    return Routes.read(own=OwnEntity(ae_title=serve["aet"].value, port=serve["port"].value))


def _subject(file: Path, calling: str, called: str) -> Subject:
    from dulcet.station.forwarding.work import read_subject

    try:
        header, modality, _, _ = read_subject(file)
    except OSError as error:
        raise NoInputError(f"{file}: {error.strerror}") from error
    except NotDICOMError as error:
        raise NotDICOMError(f"{file}: {error}") from error
    return Subject(calling=calling, called=called, sop_class_uid=header.sop_class_uid, modality=modality)


def _sentence(decision: Decision) -> str:
    where = f"{quote(decision.route.name)}: "
    if decision.node:
        where += f"to {decision.node}"
        return f"{where}, not: {decision.refusal}" if decision.refusal else where
    return f"{where}no, {decision.refusal}"


def _row(route: Route) -> tuple[str, ...]:
    objects = ", ".join((*route.modalities, *_classes(route)))
    how = [f"after {route.delay:g} s" if route.delay else "at once"]
    how += [route.hours] if route.hours else []
    how += [f"priority {route.priority}"] if route.priority else []
    how += [f"at most {rate(route.octets_per_second)}"] if route.octets_per_second else []
    how = how if route.enabled else ["not enabled"]
    called = f" calling {', '.join(route.called)}" if route.called else ""
    origin = (", ".join(route.origins) or "anybody") + called
    return quote(route.name), quote(origin), objects or "all", ", ".join(route.to), ", ".join(how), route.place


def _classes(route: Route) -> tuple[str, ...]:
    count = len(route.sop_classes)
    return () if not count else ("1 SOP class",) if count == 1 else (f"{count} SOP classes",)


def _line(route: Route) -> dict[str, Any]:
    return {
        **json_head("route"),
        "name": route.name,
        "from": list(route.origins),
        "called": list(route.called),
        "modality": list(route.modalities),
        "sop_class": list(route.sop_classes),
        "to": list(route.to),
        "priority": route.priority,
        "hours": route.hours,
        "bandwidth": route.octets_per_second,
        "delay": route.delay,
        "enabled": route.enabled,
        "place": route.place,
    }


def _decision(decision: Decision) -> dict[str, Any]:
    return {
        **json_head("route.decision"),
        "route": decision.route.name,
        "node": decision.node or None,
        "goes": not decision.refusal,
        "reason": decision.refusal or None,
        "place": decision.route.place,
    }
