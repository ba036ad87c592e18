"""Which reads of a FASTQ could come from the targets: exact seeds, looked for in whole buffers of text.

An aligner of bwa's kind places a pair only where one of its reads shares `seeds.SEED` bases in a row with the
reference. A pair that has no such seed in the targets is placed elsewhere or nowhere, and need not be aligned.

How the parts fit: `seeds` makes the table of all seeds of the targets, on both strands; `search` finds the records of
a buffer that hold one; `records` cuts buffers into records. Arrays in, arrays out: no files, no strings of reads.
"""
