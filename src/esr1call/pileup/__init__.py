"""From BAM bytes to arrays: what each read shows in each codon window, without a Python loop over reads."""
