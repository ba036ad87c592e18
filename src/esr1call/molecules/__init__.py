"""Reads to source molecules: mates to templates, templates to families, families to molecules with one haplotype."""
