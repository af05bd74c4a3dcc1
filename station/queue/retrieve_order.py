"""What `dulcet retrieve` was asked, as an order of the queue keeps it, and back, when the job runs."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from dulcet.services.admission import AllowedPeer
from dulcet.services.find import QueryOptions
from dulcet.services.querying.query_models import Level
from dulcet.services.requestor import Peer
from dulcet.services.storage import Durability, OnConflict, StorageOptions
from dulcet.station.query.asking import Conversation, QuerySettings
from dulcet.station.query.keys import KeyTree
from dulcet.station.query.plan import Asked
from dulcet.station.queue.calling import call_options, identity_of, peer_of, preferred, timeout_of
from dulcet.station.queue.jobs import Order
from dulcet.station.retrieval.retriever import RetrieveOptions
from dulcet.ul.connection import DEFAULT_MAX_PDU_LENGTH

_PREFERRED = ("root", "charset", "via", "jobs")
"""What a node may say otherwise, unless the command line said it."""
_AS_THEY_ARE = (
    *("relational", "max_time", "port", "bind_to", "allow", "allow_any", "grace", "patience"),
    *("durability", "on_conflict", "give_up_after"),
)
_TEXTS = ("patient", "patient_id", "accession", "dates", "modality")
_UIDS = ("study", "series", "images")


@dataclass(frozen=True, kw_only=True, slots=True)
class RetrieveOrder:
    """A retrieval, as things stand now."""

    peer: Peer
    asked: Asked
    queries: QuerySettings
    how: RetrieveOptions
    conversation: Conversation
    storage: StorageOptions


def kept_options(
    asked: Asked,
    queries: QuerySettings,
    sop_classes: Sequence[str],
    options: Mapping[str, Any],
    is_given: Callable[[str], bool],
) -> dict[str, Any]:
    """The options of an order, in JSON's types: `options` are the command's parameters, before a node had its say."""
    kept = call_options(options, is_given)
    kept |= {name: options[name] for name in (*_PREFERRED, *_AS_THEY_ARE)}
    kept["given"] = [*kept["given"], *filter(is_given, _PREFERRED)]
    kept["relational"] = queries.options.relational
    kept["is_checked"] = queries.is_checked
    kept["sop_classes"] = list(sop_classes)
    kept["directory"] = str(options["directory"].expanduser().absolute())
    assert asked.level is not None
    kept["asked"] = {
        "level": asked.level.value,
        "keys": _plain_keys(asked.keys),
        **{name: getattr(asked, name) for name in _TEXTS},
        **{name: list(getattr(asked, name)) for name in _UIDS},
    }
    return kept


def retrieve_order(order: Order) -> RetrieveOrder:
    """What an order means, as things stand now. ConfigurationError, NoInputError."""
    options = order.options
    asked = options["asked"]
    wanted: dict[str, Any] = {name: asked[name] for name in _TEXTS}
    wanted |= {name: tuple(asked[name]) for name in _UIDS}
    return RetrieveOrder(
        peer=peer_of(order),
        asked=Asked(level=Level(asked["level"]), keys=_keys(asked["keys"]), **wanted),
        queries=QuerySettings(
            root=preferred(order, "root", "auto", "query_root"),
            options=QueryOptions(relational=options["relational"]),
            max_seconds=options["max_time"],
            character_set=preferred(order, "charset", "", "character_set") or "",
            is_checked=options["is_checked"],
        ),
        how=RetrieveOptions(
            via=preferred(order, "via", "auto", "retrieve"),
            port=options["port"],
            host=options["bind_to"],
            allowed=tuple(map(AllowedPeer.parse, options["allow"])),
            allow_any=options["allow_any"],
            jobs=preferred(order, "jobs", 1),
            grace=options["grace"],
            patience=options["patience"],
            sop_classes=tuple(options["sop_classes"]),
        ),
        conversation=Conversation(
            timeout=timeout_of(order),
            max_pdu_length=preferred(order, "max_pdu", DEFAULT_MAX_PDU_LENGTH),
            user_items=identity_of(order),
        ),
        storage=StorageOptions(
            directory=Path(options["directory"]),
            durability=Durability(options["durability"]),
            on_conflict=OnConflict(options["on_conflict"]),
        ),
    )


def _plain_keys(keys: Any) -> dict[str, Any]:
    """Tags as eight hexadecimal digits: JSON has no numbers for names."""
    return {
        f"{tag:08X}": value if isinstance(value, str) else [_plain_keys(item) for item in value]
        for tag, value in keys.items()
    }


def _keys(plain: Mapping[str, Any]) -> KeyTree:
    return {
        int(tag, 16): value if isinstance(value, str) else [_keys(item) for item in cast("list[Any]", value)]
        for tag, value in plain.items()
    }
