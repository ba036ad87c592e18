"""Computed identifiers of alleles, by the GA4GH Variation Representation Specification 2.0.

An identifier is a digest of the allele's content: the same allele has the same one in every laboratory. The content
names the chromosome by the digest of its whole sequence (its refget accession), and an indel by the whole stretch over
which it can be moved ("fully justified").
"""

from __future__ import annotations

import base64
import hashlib
import json
from typing import Any

from esr1call.formats.context import Context, roll, surroundings, trimmed
from esr1call.formats.refget import ACCESSIONS
from esr1call.results import VariantCall


def allele_id(call: VariantCall, context: Context) -> str | None:
    """``ga4gh:VA.`` and the digest of a call's allele.

    None where no refget accession is known for its chromosome, or where its indel can be moved to where the panel
    holds no reference.
    """
    panel = context.panel
    accession = ACCESSIONS[panel.build].get(panel.contig)
    if accession is None:
        return None
    sequence, origin = surroundings(panel, call.pos)
    start, ref, alt = trimmed(call.pos, call.ref, call.alt)
    found = normalised(sequence, start - origin, ref, alt)
    if found is None:
        return None
    start, end, state = found
    location = digest(
        {
            "type": "SequenceLocation",
            "sequenceReference": {"type": "SequenceReference", "refgetAccession": accession},
            "start": start + origin,
            "end": end + origin,
        }
    )
    return f"ga4gh:VA.{digest({'type': 'Allele', 'location': location, 'state': state})}"


def digest(value: Any) -> str:
    """sha512t24u of the canonical JSON of `value`: the first 24 bytes of SHA-512 in URL-safe base 64."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"))
    return base64.urlsafe_b64encode(hashlib.sha512(text.encode()).digest()[:24]).decode()


def normalised(sequence: str, start: int, ref: str, alt: str) -> tuple[int, int, dict[str, Any]] | None:
    """(start, end, what is put there) of a trimmed allele on `sequence`, fully justified; None past what is known."""
    if ref and alt:
        return start, start + len(ref), _literal(alt)
    moved = ref or alt
    left, right = (roll(sequence, start, len(ref), moved, step) for step in (-1, +1))
    if left is None or right is None:
        return None
    low, high = start - left, start + right + len(ref)
    if ref:
        return low, high, _of_reference(high - low - len(ref), len(ref))
    old, turn = sequence[low:high], -left % len(alt)
    new = alt[turn:] + alt[:turn] + old
    for cycle in range(min(len(alt), len(old)), 0, -1):
        repeated = (old[len(old) - cycle :] * len(new))[: len(alt)]
        if len(alt) % cycle == 0 and new[len(old) :] == repeated:
            return low, high, _of_reference(len(new), cycle)
    return low, high, _literal(new)


def _literal(bases: str) -> dict[str, Any]:
    return {"type": "LiteralSequenceExpression", "sequence": bases}


def _of_reference(length: int, unit: int) -> dict[str, Any]:
    return {"type": "ReferenceLengthExpression", "length": length, "repeatSubunitLength": unit}
