"""The Query/Retrieve information models and their keys: PS3.4 C.3, C.6 and K.6.

The tables name the keys that the standard names at each level; any other attribute may be an optional key wherever it
belongs.
"""

from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from dulcet.dimse.uids import (
    MODALITY_WORKLIST,
    PATIENT_ROOT_FIND,
    PATIENT_ROOT_GET,
    PATIENT_ROOT_MOVE,
    STUDY_ROOT_FIND,
    STUDY_ROOT_GET,
    STUDY_ROOT_MOVE,
)


class Level(Enum):
    """Query/Retrieve Level (0008,0052), from the top of the hierarchy down."""

    PATIENT = "PATIENT"
    STUDY = "STUDY"
    SERIES = "SERIES"
    IMAGE = "IMAGE"


PATIENT_ID = 0x00100020
STUDY_INSTANCE_UID = 0x0020000D
SERIES_INSTANCE_UID = 0x0020000E
SOP_INSTANCE_UID = 0x00080018
SOP_CLASS_UID = 0x00080016
MODALITY = 0x00080060
NUMBER_OF_STUDY_RELATED_INSTANCES = 0x00201208
NUMBER_OF_SERIES_RELATED_INSTANCES = 0x00201209
SCHEDULED_PROCEDURE_STEP_SEQUENCE = 0x00400100

UNIQUE_KEYS = MappingProxyType(
    {
        Level.PATIENT: PATIENT_ID,
        Level.STUDY: STUDY_INSTANCE_UID,
        Level.SERIES: SERIES_INSTANCE_UID,
        Level.IMAGE: SOP_INSTANCE_UID,
    }
)
"""PS3.4 C.2.2.1.1: what identifies one entity of a level."""

KEYS: MappingProxyType[Level, MappingProxyType[int, str]] = MappingProxyType(
    {
        Level.PATIENT: MappingProxyType(  # PS3.4 Table C.6-1
            {
                0x00081120: "ReferencedPatientSequence",
                0x00100010: "PatientName",
                PATIENT_ID: "PatientID",
                0x00100021: "IssuerOfPatientID",
                0x00100030: "PatientBirthDate",
                0x00100032: "PatientBirthTime",
                0x00100040: "PatientSex",
                0x00101000: "OtherPatientIDs",
                0x00101001: "OtherPatientNames",
                0x00101002: "OtherPatientIDsSequence",
                0x00102160: "EthnicGroup",
                0x00104000: "PatientComments",
                0x00201200: "NumberOfPatientRelatedStudies",
                0x00201202: "NumberOfPatientRelatedSeries",
                0x00201204: "NumberOfPatientRelatedInstances",
            }
        ),
        Level.STUDY: MappingProxyType(  # PS3.4 Table C.6-2
            {
                0x00080020: "StudyDate",
                0x00080030: "StudyTime",
                0x00080050: "AccessionNumber",
                0x00080061: "ModalitiesInStudy",
                0x00080062: "SOPClassesInStudy",
                0x00080063: "AnatomicRegionsInStudyCodeSequence",
                0x00080090: "ReferringPhysicianName",
                0x00081030: "StudyDescription",
                0x00081032: "ProcedureCodeSequence",
                0x00081060: "NameOfPhysiciansReadingStudy",
                0x00081080: "AdmittingDiagnosesDescription",
                0x00081110: "ReferencedStudySequence",
                0x00101010: "PatientAge",
                0x00101020: "PatientSize",
                0x00101030: "PatientWeight",
                0x00102180: "Occupation",
                0x001021B0: "AdditionalPatientHistory",
                STUDY_INSTANCE_UID: "StudyInstanceUID",
                0x00200010: "StudyID",
                0x00201070: "OtherStudyNumbers",
                0x00201206: "NumberOfStudyRelatedSeries",
                NUMBER_OF_STUDY_RELATED_INSTANCES: "NumberOfStudyRelatedInstances",
            }
        ),
        Level.SERIES: MappingProxyType(  # PS3.4 Table C.6-3, and what belongs to a series in PS3.3
            {
                0x00080021: "SeriesDate",
                0x00080031: "SeriesTime",
                MODALITY: "Modality",
                0x0008103E: "SeriesDescription",
                0x00080070: "Manufacturer",
                0x00081010: "StationName",
                0x00081050: "PerformingPhysicianName",
                0x00180015: "BodyPartExamined",
                0x00181030: "ProtocolName",
                SERIES_INSTANCE_UID: "SeriesInstanceUID",
                0x00200011: "SeriesNumber",
                0x00200060: "Laterality",
                NUMBER_OF_SERIES_RELATED_INSTANCES: "NumberOfSeriesRelatedInstances",
                0x00400244: "PerformedProcedureStepStartDate",
                0x00400245: "PerformedProcedureStepStartTime",
                0x00400275: "RequestAttributesSequence",
            }
        ),
        Level.IMAGE: MappingProxyType(  # PS3.4 Table C.6-4, and what belongs to an instance in PS3.3
            {
                SOP_CLASS_UID: "SOPClassUID",
                SOP_INSTANCE_UID: "SOPInstanceUID",
                0x00080022: "AcquisitionDate",
                0x00080023: "ContentDate",
                0x00080032: "AcquisitionTime",
                0x00080033: "ContentTime",
                0x0008001A: "RelatedGeneralSOPClassUID",
                0x00083001: "AlternateRepresentationSequence",
                0x00083002: "AvailableTransferSyntaxUID",
                0x00200012: "AcquisitionNumber",
                0x00200013: "InstanceNumber",
                0x00280008: "NumberOfFrames",
                0x00280010: "Rows",
                0x00280011: "Columns",
                0x00280100: "BitsAllocated",
                0x00400512: "ContainerIdentifier",
                0x00400560: "SpecimenDescriptionSequence",
                0x0040A043: "ConceptNameCodeSequence",
                0x0040A504: "ContentTemplateSequence",
            }
        ),
    }
)
"""The attributes of each level."""

LEVEL_OF = MappingProxyType({tag: level for level, keys in KEYS.items() for tag in keys})
"""Which level an attribute belongs to, for those in `KEYS`."""


@dataclass(frozen=True, slots=True)
class Model:
    """A hierarchy of levels and the SOP classes that ask about it."""

    name: str
    """In the standard's words."""
    find: str
    """The SOP class of C-FIND."""
    move: str = ""
    """The SOP class of C-MOVE; "" where there is none."""
    get: str = ""
    """The SOP class of C-GET."""
    levels: tuple[Level, ...] = ()
    """From the top; none for a worklist, which has no levels (PS3.4 K.2)."""

    def level_of(self, tag: int) -> Level | None:
        """The level at which an attribute is a key; None where nothing says so. Where there is no patient level its
        attributes are of the study (PS3.4 Table C.6-5)."""
        level = LEVEL_OF.get(tag)
        if level is Level.PATIENT and self.levels and Level.PATIENT not in self.levels:
            return Level.STUDY
        return level

    def above(self, level: Level) -> tuple[Level, ...]:
        """The levels above `level`."""
        return self.levels[: self.levels.index(level)]

    def below(self, level: Level) -> tuple[Level, ...]:
        """The levels below `level`."""
        return self.levels[self.levels.index(level) + 1 :]


PATIENT_ROOT = Model("Patient Root", PATIENT_ROOT_FIND, PATIENT_ROOT_MOVE, PATIENT_ROOT_GET, tuple(Level))
STUDY_ROOT = Model("Study Root", STUDY_ROOT_FIND, STUDY_ROOT_MOVE, STUDY_ROOT_GET, tuple(Level)[1:])
WORKLIST = Model("Modality Worklist", MODALITY_WORKLIST)
