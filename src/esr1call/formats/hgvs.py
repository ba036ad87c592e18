"""HGVS names as other systems expect them: genomic names, accessions in front, amino acids in three letters."""

from __future__ import annotations

import re

from esr1call.formats.context import Context, roll, surroundings, trimmed
from esr1call.panel import reverse_complement
from esr1call.results import VariantCall

_THREE = {
    "A": "Ala", "C": "Cys", "D": "Asp", "E": "Glu", "F": "Phe", "G": "Gly", "H": "His", "I": "Ile", "K": "Lys",
    "L": "Leu", "M": "Met", "N": "Asn", "P": "Pro", "Q": "Gln", "R": "Arg", "S": "Ser", "T": "Thr", "V": "Val",
    "W": "Trp", "Y": "Tyr", "*": "Ter",
}  # fmt: skip


def coding(call: VariantCall, context: Context) -> str:
    """``NM_000125.4:c.1613A>G``."""
    return f"{context.panel.transcript}:{call.cdna}"


def protein(call: VariantCall, context: Context) -> str:
    """``NP_000116.2:p.(Asp538Gly)``: in brackets, since it is predicted from DNA."""
    return f"{context.panel.protein_accession}:{three_letter(call.protein)}"


def three_letter(name: str) -> str:
    """A one-letter protein name such as ``p.[Y537S;D538G]`` in three letters: ``p.[(Tyr537Ser;Asp538Gly)]``."""
    body = name.removeprefix("p.")
    if body in ("?", "="):
        return name
    body = re.sub(r"[A-Z*]", lambda m: _THREE[m[0]], body)
    return f"p.[({body[1:-1]})]" if body.startswith("[") else f"p.({body})"


def genomic(call: VariantCall, context: Context) -> str:
    """``NC_000006.12:g.152098791A>G``; neighbouring changed bases are one delins, separate ones ``[a;b]``.

    An indel is placed 3'-most on the forward strand, as far as the panel's reference sequence goes.
    """
    start, ref, alt = trimmed(call.pos, call.ref, call.alt)
    if ref and len(ref) == len(alt):
        names = [_substituted(start + a, ref[a:b], alt[a:b]) for a, b in _runs(ref, alt)]
        name = names[0] if len(names) == 1 else f"[{';'.join(names)}]"
    elif ref and alt:
        name = f"{_span(start, len(ref))}delins{alt}"
    else:
        name = _indel(call, context, start, ref, alt)
    return f"{context.accession}:g.{name}"


def _indel(call: VariantCall, context: Context, start: int, ref: str, alt: str) -> str:
    sequence, origin = surroundings(context.panel, call.pos)
    moved = ref or alt
    shift = roll(sequence, start - origin, len(ref), moved, +1) or 0
    start += shift
    if ref:
        return f"{_span(start, len(ref))}del"
    turn = shift % len(alt)
    alt = alt[turn:] + alt[:turn]
    if sequence[max(start - len(alt) - origin, 0) : start - origin] == alt:
        return f"{_span(start - len(alt), len(alt))}dup"
    return f"{_span(start - 1, 2)}ins{alt}"


def _runs(ref: str, alt: str) -> list[tuple[int, int]]:
    """[start, end) of each run of changed bases."""
    changed = [a != b for a, b in zip(ref, alt, strict=True)]
    starts = [i for i, c in enumerate(changed) if c and (i == 0 or not changed[i - 1])]
    ends = [i + 1 for i, c in enumerate(changed) if c and (i + 1 == len(changed) or not changed[i + 1])]
    return list(zip(starts, ends, strict=True))


def _substituted(start: int, ref: str, alt: str) -> str:
    if len(ref) == 1:
        return f"{start + 1}{ref}>{alt}"
    return f"{_span(start, len(ref))}" + ("inv" if alt == reverse_complement(ref) else f"delins{alt}")


def _span(start: int, length: int) -> str:
    return f"{start + 1}" if length == 1 else f"{start + 1}_{start + length}"
