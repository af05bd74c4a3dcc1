"""dulcet: the DICOM network in pure Python."""

__version__ = "0.1.0"
