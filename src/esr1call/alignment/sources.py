"""How a sample's FASTQ files are named: several lanes, or files that hold both mates in turn."""

SEPARATOR = ";"
"""Between the files of several lanes."""
INTERLEAVED = "interleaved"
"""Given in place of read 2's files where read 1's hold both mates in turn."""
