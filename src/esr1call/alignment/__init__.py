"""FASTQ pairs with UMIs, or a ready BAM or CRAM, to one coordinate-sorted, indexed BAM with RX tags.

How the parts fit: `fastq` streams mate pairs; `read_structure` says where UMI, spacer and template lie in a read;
`trimming` finds where a short fragment's reads run into the adapter; `pairs` joins the three into template pairs;
`aligners` maps batches of them; `output` writes, sorts and indexes; `bam_input` takes a BAM or CRAM instead.
"""
