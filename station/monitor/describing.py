"""The associations of this process, as its report shows them."""

from dulcet.services.accounts import Accounts, accepted, made
from dulcet.services.association import Association
from dulcet.services.requestor import Peer
from dulcet.station.monitor.metrics import series
from dulcet.station.monitor.process_report import AssociationRow, moment

MAX_ASSOCIATIONS = 1000  # in a report; a server has 32 by default


def association_rows() -> tuple[AssociationRow, ...]:
    """All that are in force, those of peers first."""
    rows = [
        _row(association, peer) for accounts in (accepted(), made()) for association, peer in accounts.living.items()
    ]
    return tuple(rows[:MAX_ASSOCIATIONS])


def _row(association: Association, peer: Peer | None) -> AssociationRow:
    activity, transport, request = association.activity, association.transport, association.request
    title = str(request.calling_ae_title) if peer is None and request is not None else peer.ae_title if peer else ""
    return AssociationRow(
        direction="in" if peer is None else "out",
        peer=title,
        address=transport.peer_address if peer is None else f"{transport.peer_address}:{peer.port}",
        since=moment(activity.since),
        service=activity.service,
        objects=activity.objects_received + activity.objects_sent,
        octets=transport.octets_received + transport.octets_sent,
    )


def association_counters() -> dict[str, float]:
    """The series that associations of both directions give."""
    directions: dict[str, Accounts] = {"in": accepted(), "out": made()}
    counters: dict[str, float] = {}
    for direction, accounts in directions.items():
        counters[series("dulcet_associations_open", direction=direction)] = len(accounts.living)
    both = {direction: accounts.sums() for direction, accounts in directions.items()}
    for direction, sums in both.items():
        counters[series("dulcet_associations_total", direction=direction)] = sums.associations
    counters["dulcet_received_octets_total"] = sum(sums.octets_received for sums in both.values())
    counters["dulcet_sent_octets_total"] = sum(sums.octets_sent for sums in both.values())
    counters["dulcet_received_objects_total"] = sum(sums.objects_received for sums in both.values())
    counters["dulcet_sent_objects_total"] = sum(sums.objects_sent for sums in both.values())
    counters["dulcet_pdu_deviations_total"] = sum(sums.deviations for sums in both.values())
    return counters
