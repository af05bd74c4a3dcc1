"""The conformance kit: tests any DICOM peer clause by clause.

`case.py` says what a case is, `cases/` holds them (a file for each group of the catalogue), `raw_peer.py` speaks octets
to the product, `verdict.py` compares what came with what the standard allows, `passive.py` looks at everything the
product sent, `runner.py` runs it all. The judge uses layouts and tables of `dulcet.ul`, never its connection.
"""
