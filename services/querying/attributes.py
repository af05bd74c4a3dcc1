"""The attributes that dulcet's archive has, and the information models by SOP class (PS3.4 C.3, C.5, C.6)."""

from typing import NamedTuple

from dulcet.dimse.uids import PATIENT_STUDY_ONLY_FIND, PATIENT_STUDY_ONLY_GET, PATIENT_STUDY_ONLY_MOVE
from dulcet.services.querying.query_models import (
    PATIENT_ID,
    PATIENT_ROOT,
    SERIES_INSTANCE_UID,
    SOP_CLASS_UID,
    SOP_INSTANCE_UID,
    STUDY_INSTANCE_UID,
    STUDY_ROOT,
    Level,
    Model,
)
from dulcet.services.value_representations import SPECIFIC_CHARACTER_SET


class Attribute(NamedTuple):
    """An attribute that can be matched and returned."""

    tag: int
    name: str
    """Its keyword, as a name of a column."""
    vr: str
    level: Level
    is_derived: bool = False
    """It does not stand in the objects: it comes from how they are stored, or from what is below."""


STUDY_DATE, STUDY_TIME = 0x00080020, 0x00080030

_P, _T, _S, _I = Level
ATTRIBUTES = (
    Attribute(0x00100010, "patient_name", "PN", _P),
    Attribute(PATIENT_ID, "patient_id", "LO", _P),
    Attribute(0x00100021, "issuer_of_patient_id", "LO", _P),
    Attribute(0x00100030, "patient_birth_date", "DA", _P),
    Attribute(0x00100032, "patient_birth_time", "TM", _P),
    Attribute(0x00100040, "patient_sex", "CS", _P),
    Attribute(0x00101001, "other_patient_names", "PN", _P),
    Attribute(0x00102160, "ethnic_group", "SH", _P),
    Attribute(0x00104000, "patient_comments", "LT", _P),
    Attribute(0x00201200, "number_of_patient_related_studies", "IS", _P, True),
    Attribute(0x00201202, "number_of_patient_related_series", "IS", _P, True),
    Attribute(0x00201204, "number_of_patient_related_instances", "IS", _P, True),
    Attribute(STUDY_DATE, "study_date", "DA", _T),
    Attribute(STUDY_TIME, "study_time", "TM", _T),
    Attribute(0x00080050, "accession_number", "SH", _T),
    Attribute(0x00080061, "modalities_in_study", "CS", _T, True),
    Attribute(0x00080062, "sop_classes_in_study", "UI", _T, True),
    Attribute(0x00080090, "referring_physician_name", "PN", _T),
    Attribute(0x00081030, "study_description", "LO", _T),
    Attribute(0x00081060, "name_of_physicians_reading_study", "PN", _T),
    Attribute(0x00081080, "admitting_diagnoses_description", "LO", _T),
    Attribute(0x00101010, "patient_age", "AS", _T),
    Attribute(0x00101020, "patient_size", "DS", _T),
    Attribute(0x00101030, "patient_weight", "DS", _T),
    Attribute(0x00102180, "occupation", "SH", _T),
    Attribute(0x001021B0, "additional_patient_history", "LT", _T),
    Attribute(STUDY_INSTANCE_UID, "study_instance_uid", "UI", _T),
    Attribute(0x00200010, "study_id", "SH", _T),
    Attribute(0x00201206, "number_of_study_related_series", "IS", _T, True),
    Attribute(0x00201208, "number_of_study_related_instances", "IS", _T, True),
    Attribute(0x00080021, "series_date", "DA", _S),
    Attribute(0x00080031, "series_time", "TM", _S),
    Attribute(0x00080060, "modality", "CS", _S),
    Attribute(0x00080070, "manufacturer", "LO", _S),
    Attribute(0x00080080, "institution_name", "LO", _S),
    Attribute(0x00081010, "station_name", "SH", _S),
    Attribute(0x0008103E, "series_description", "LO", _S),
    Attribute(0x00081040, "institutional_department_name", "LO", _S),
    Attribute(0x00081050, "performing_physician_name", "PN", _S),
    Attribute(0x00081070, "operators_name", "PN", _S),
    Attribute(0x00081090, "manufacturer_model_name", "LO", _S),
    Attribute(0x00180015, "body_part_examined", "CS", _S),
    Attribute(0x00181030, "protocol_name", "LO", _S),
    Attribute(0x00185100, "patient_position", "CS", _S),
    Attribute(SERIES_INSTANCE_UID, "series_instance_uid", "UI", _S),
    Attribute(0x00200011, "series_number", "IS", _S),
    Attribute(0x00200052, "frame_of_reference_uid", "UI", _S),
    Attribute(0x00200060, "laterality", "CS", _S),
    Attribute(0x00201209, "number_of_series_related_instances", "IS", _S, True),
    Attribute(0x00400244, "performed_procedure_step_start_date", "DA", _S),
    Attribute(0x00400245, "performed_procedure_step_start_time", "TM", _S),
    Attribute(0x00400253, "performed_procedure_step_id", "SH", _S),
    Attribute(0x00080008, "image_type", "CS", _I),
    Attribute(0x00080012, "instance_creation_date", "DA", _I),
    Attribute(0x00080013, "instance_creation_time", "TM", _I),
    Attribute(SOP_CLASS_UID, "sop_class_uid", "UI", _I),
    Attribute(SOP_INSTANCE_UID, "sop_instance_uid", "UI", _I),
    Attribute(0x00080022, "acquisition_date", "DA", _I),
    Attribute(0x00080023, "content_date", "DA", _I),
    Attribute(0x0008002A, "acquisition_date_time", "DT", _I),
    Attribute(0x00080032, "acquisition_time", "TM", _I),
    Attribute(0x00080033, "content_time", "TM", _I),
    Attribute(0x00083002, "available_transfer_syntax_uid", "UI", _I, True),
    Attribute(0x00200012, "acquisition_number", "IS", _I),
    Attribute(0x00200013, "instance_number", "IS", _I),
    Attribute(0x00280008, "number_of_frames", "IS", _I),
    Attribute(0x00280010, "rows", "US", _I),
    Attribute(0x00280011, "columns", "US", _I),
    Attribute(0x00280100, "bits_allocated", "US", _I),
    Attribute(0x00400512, "container_identifier", "LO", _I),
)
"""PS3.4 Tables C.6-1 to C.6-5, all required and unique keys, and those optional keys that people ask for."""

BY_TAG = {attribute.tag: attribute for attribute in ATTRIBUTES}
IN_OBJECTS = frozenset(attribute.tag for attribute in ATTRIBUTES if not attribute.is_derived) | {SPECIFIC_CHARACTER_SET}
"""The tags to look for in an object: its attributes, and the character set that they are in."""

PATIENT_STUDY_ONLY = Model(
    "Patient/Study Only",
    PATIENT_STUDY_ONLY_FIND,
    PATIENT_STUDY_ONLY_MOVE,
    PATIENT_STUDY_ONLY_GET,
    (Level.PATIENT, Level.STUDY),
)
"""Retired, and still asked for."""

MODELS = (PATIENT_ROOT, STUDY_ROOT, PATIENT_STUDY_ONLY)
FIND_MODELS = {model.find: model for model in MODELS}
MOVE_MODELS = {model.move: model for model in MODELS}
GET_MODELS = {model.get: model for model in MODELS}

RELATIONAL, COMBINED_DATE_TIME = 0, 1  # sub-fields of SOP Class Extended Negotiation, PS3.4 Tables C.5-1 and C.5-3
_AGREED = {**dict.fromkeys(FIND_MODELS, b"\1\1\0\0\0"), **dict.fromkeys([*MOVE_MODELS, *GET_MODELS], b"\1\0")}


def extended_negotiation(sop_class_uid: str, offered: bytes) -> bytes | None:
    """The acceptor's answer: relational queries and retrievals and combined date and time yes, the rest no (C.5).

    As many octets as were offered: peers of old have one sub-field and expect one. None: no answer.
    """
    agreed = _AGREED.get(sop_class_uid)
    if agreed is None or not offered:
        return None
    return bytes(int(ours and theirs == 1) for ours, theirs in zip(agreed, offered, strict=False))
