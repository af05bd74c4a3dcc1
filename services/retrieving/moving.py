"""Where the sub-operations of a C-MOVE go: to a destination that is known by its AE title, over associations to it.

One association for each request, more only where the objects need more than 128 presentation contexts.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

import trio

from dulcet.errors import AssociationError, PeerTimeoutError, SourceError
from dulcet.services.association import Association
from dulcet.services.limits import NO_TIMERS
from dulcet.services.object_to_send import ObjectToSend
from dulcet.services.part10 import Part10Header
from dulcet.services.requestor import Peer, associate
from dulcet.services.retrieving.operation_watch import Watch
from dulcet.services.retrieving.suboperations import Choice, RetrieveLimits, SubOperations, Transfer
from dulcet.ul.items import PresentationContextRQ
from dulcet.ul.negotiation import Negotiated


class Plan(Protocol):
    """One association: what to propose and what to send on it."""

    @property
    def contexts(self) -> Sequence[PresentationContextRQ]:
        """At most 128."""

    @property
    def files(self) -> Sequence[ObjectToSend]:
        """What these contexts are for."""


class Route(Protocol):
    """The way to one destination."""

    @property
    def peer(self) -> Peer:
        """Whom to call. Its address never comes from a peer."""

    def plan(self, objects: Sequence[ObjectToSend]) -> Sequence[Plan]:
        """The associations that these objects need."""

    def choose(
        self, header: Part10Header, contexts: Sequence[PresentationContextRQ], negotiated: Negotiated
    ) -> Choice | str:
        """The context that an object goes out on, or a sentence why there is none."""


class Move:
    """The sub-operations of one C-MOVE."""

    def __init__(self, route: Route, counted: SubOperations, watch: Watch, limits: RetrieveLimits) -> None:
        self._route = route
        self._counted = counted
        self._watch = watch
        self._limits = limits
        self._originator = ("", 0)

    def on_behalf_of(self, ae_title: str, message_id: int) -> None:
        """Name the AE that asked for it, and its request, in each C-STORE-RQ (PS3.7 9.1.1.1.6)."""
        self._originator = (ae_title, message_id)

    async def send(self, objects: Sequence[ObjectToSend]) -> None:
        """Send all, until the request is cancelled; what fails is counted, nothing is raised for it."""
        with trio.CancelScope() as patience:

            def stop() -> None:
                patience.deadline = trio.current_time() + self._limits.cancel_seconds

            self._watch.on_stop = stop
            for plan in self._route.plan(objects):
                if not self._watch.should_stop:
                    await self._send_plan(plan)
        self._watch.on_stop = lambda: None

    async def _send_plan(self, plan: Plan) -> None:
        left = list(plan.files)
        try:
            await self._one_association(plan, left)
        except (AssociationError, SourceError) as error:
            # Of the requestor's own association the caller is told when it asks.
            if not self._watch.should_stop:
                for each in left:
                    self._counted.count(each.header, error)

    async def _one_association(self, plan: Plan, left: list[ObjectToSend]) -> None:
        limits = self._limits
        is_done = False
        with trio.CancelScope(deadline=trio.current_time() + limits.association_seconds) as patience:
            async with associate(
                self._route.peer, plan.contexts, limits=replace(NO_TIMERS, write_stall=limits.response_seconds)
            ) as association:
                patience.deadline = float("inf")
                await self._transfer(association, plan).send(left)
                is_done = True
                patience.deadline = trio.current_time() + limits.association_seconds
        if patience.cancelled_caught and not is_done:
            raise PeerTimeoutError("the destination did not answer in time")

    def _transfer(self, association: Association, plan: Plan) -> Transfer:
        def choose(header: Part10Header) -> Choice | str:
            return self._route.choose(header, plan.contexts, association.negotiated)

        transfer = Transfer(association, choose, self._counted, self._watch, self._limits)
        transfer.on_behalf_of(*self._originator)
        return transfer
