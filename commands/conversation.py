"""The conversation as -v shows it: PDUs and messages on standard error, in the order of the wire; -vv: the machine."""

from dataclasses import fields
from typing import Any

import click

from dulcet.dimse.messages import Message, UnacceptableMessage
from dulcet.escape import quote, quoted
from dulcet.services.trace import Trace
from dulcet.ul.connection import Transition
from dulcet.ul.pdu import AAbort, AAssociateAC, AAssociateRJ, AAssociateRQ, AnyPDU
from dulcet.ul.reasons import CONTEXT_RESULTS, explain_abort, explain_rejection


def trace(verbosity: int) -> Trace | None:
    """For -v and more."""
    return _show if verbosity else None


def on_transition(verbosity: int) -> Any:
    """For -vv and more."""
    return _show_transition if verbosity > 1 else None


def _show(direction: str, said: AnyPDU | Message | UnacceptableMessage) -> None:
    click.echo(f"{direction} {describe(said)}", err=True)


def _show_transition(step: Transition) -> None:
    text = f"    {step.event} ({step.event.meaning}) in {step.state}: {step.action.name}, {step.next_state}"
    click.echo(text, err=True)


def describe(said: AnyPDU | Message | UnacceptableMessage) -> str:
    """One PDU or message in a line or a few."""
    match said:
        case AAssociateRQ():
            lines = [f"{said.NAME} called {quoted(said.called_ae_title)}, calling {quoted(said.calling_ae_title)}"]
            for context in said.presentation_contexts:
                syntaxes = ", ".join(quote(name) for name in context.transfer_syntaxes)
                lines.append(
                    f"      context {context.context_id}: {quote(context.abstract_syntax or '')} in {syntaxes}"
                )
            return "\n".join(lines)
        case AAssociateAC():
            lines = [f"{said.NAME} by {quote(said.implementation_version_name or said.implementation_class_uid or '')}"]
            for answer in said.presentation_contexts:
                result = CONTEXT_RESULTS.get(answer.result, f"result {answer.result}")
                lines.append(f"      context {answer.context_id}: {result}, {quote(answer.transfer_syntax or '')}")
            return "\n".join(lines)
        case AAssociateRJ():
            return f"{said.NAME} {explain_rejection(said.result, said.source, said.reason)}"
        case AAbort():
            return f"{said.NAME} {explain_abort(said.source, said.reason)}"
        case Message():
            values = ((field.name, getattr(said, field.name)) for field in fields(said))  # type: ignore[arg-type]
            text = ", ".join(f"{name} {_value(name, value)}" for name, value in values if value is not None)
            return f"{said.NAME} {text}"
        case _:
            return said.NAME


def _value(name: str, value: object) -> str:
    return f"{value:04X}H" if name == "status" and isinstance(value, int) else quote(str(value))
