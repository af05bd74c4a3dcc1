"""UIDs of the standard that the network needs, without pydicom: importing it takes longer than an echo."""

import re

from dulcet.dimse.sop_classes import (
    MEDIA_STORAGE_DIRECTORY,
    MODALITY_PERFORMED_PROCEDURE_STEP,
    MODALITY_WORKLIST,
    OTHER_SOP_CLASSES,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    PATIENT_STUDY_ONLY_FIND,
    PATIENT_STUDY_ONLY_GET,
    PATIENT_STUDY_ONLY_MOVE,
    STORAGE_COMMITMENT_PUSH_MODEL,
    STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE,
    STORAGE_SOP_CLASSES,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
    VERIFICATION,
)
from dulcet.dimse.transfer_syntaxes import (
    DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN,
    EXPLICIT_VR_BIG_ENDIAN,
    EXPLICIT_VR_LITTLE_ENDIAN,
    IMPLICIT_VR_LITTLE_ENDIAN,
    TRANSFER_SYNTAXES,
    TransferSyntax,
)

__all__ = [
    "DEFLATED_EXPLICIT_VR_LITTLE_ENDIAN",
    "DICOM_APPLICATION_CONTEXT",
    "EXPLICIT_VR_BIG_ENDIAN",
    "EXPLICIT_VR_LITTLE_ENDIAN",
    "IMPLICIT_VR_LITTLE_ENDIAN",
    "MEDIA_STORAGE_DIRECTORY",
    "MODALITY_PERFORMED_PROCEDURE_STEP",
    "MODALITY_WORKLIST",
    "OTHER_SOP_CLASSES",
    "PATIENT_ROOT_FIND",
    "PATIENT_ROOT_GET",
    "PATIENT_ROOT_MOVE",
    "PATIENT_STUDY_ONLY_FIND",
    "PATIENT_STUDY_ONLY_GET",
    "PATIENT_STUDY_ONLY_MOVE",
    "STORAGE_COMMITMENT_PUSH_MODEL",
    "STORAGE_COMMITMENT_PUSH_MODEL_INSTANCE",
    "STORAGE_SOP_CLASSES",
    "STUDY_ROOT_FIND",
    "STUDY_ROOT_GET",
    "STUDY_ROOT_MOVE",
    "TRANSFER_SYNTAXES",
    "VERIFICATION",
    "TransferSyntax",
    "is_valid_uid",
    "name_of",
]

DICOM_APPLICATION_CONTEXT = "1.2.840.10008.3.1.1.1"
MAX_UID_CHARACTERS = 64  # PS3.5 9.1
_COMPONENTS = re.compile(r"(?:0|[1-9][0-9]*)(?:\.(?:0|[1-9][0-9]*))*")


def is_valid_uid(text: str) -> bool:
    """Whether `text` is a UID by PS3.5 9.1: digits and dots, no empty component, no leading zero, at most 64."""
    return len(text) <= MAX_UID_CHARACTERS and _COMPONENTS.fullmatch(text) is not None


def name_of(uid: str) -> str:
    """The standard's name of a transfer syntax or SOP class; "" when it is not one of the standard's."""
    syntax = TRANSFER_SYNTAXES.get(uid)
    if syntax is not None:
        return syntax.name
    if uid == DICOM_APPLICATION_CONTEXT:
        return "DICOM Application Context Name"
    return STORAGE_SOP_CLASSES.get(uid) or OTHER_SOP_CLASSES.get(uid, "")
