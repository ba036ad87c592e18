"""Names for haplotypes: normalised VCF alleles, cDNA and protein changes in HGVS terms (one-letter amino acids).

Input is always a window and the forward-strand bases a molecule shows between the window's ends; the names follow
the HGVS recommendations: 3'-most placement of indels on the transcript, neighbouring changed bases or changes in one
codon as one delins (inv where it is one), changes in different codons of one molecule listed as ``[a;b]``. Where HGVS
would join neighbouring residues (``p.Y537_D538delinsSG``), they stay apart too, since each is a variant of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from esr1call.panel import FLANK, Panel, Window, reverse_complement

_BASES = "TCAG"
_AMINO = "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG"
_CODE = {a + b + c: _AMINO[16 * i + 4 * j + k]
         for i, a in enumerate(_BASES) for j, b in enumerate(_BASES) for k, c in enumerate(_BASES)}  # fmt: skip

_UNKNOWN = ("p.?", "unknown", ("p.?",))
"""The change reaches bases that the panel does not hold, or moves the stop codon."""


def translate(coding: str) -> str:
    """Amino acids of a coding sequence by the standard code, 'X' where a base is unknown."""
    return "".join(_CODE.get(coding[i : i + 3], "X") for i in range(0, len(coding) - 2, 3))


@dataclass(frozen=True)
class HaplotypeName:
    """What a window haplotype is called.

    `pos`, `ref`, `alt` form one normalised VCF allele (1-based, left-aligned); `changes` are the single protein
    changes; `panel_variants` the panel's protein names among them. `consequence` is one of reference, synonymous,
    missense, stop_gained, stop_lost, frameshift, inframe_deletion, inframe_insertion, inframe_indel and unknown.
    """

    protein: str
    cdna: str
    pos: int
    ref: str
    alt: str
    consequence: str
    changes: tuple[str, ...]
    panel_variants: tuple[str, ...]

    @property
    def nonsynonymous(self) -> bool:
        """Whether the protein changes."""
        return self.consequence not in ("reference", "synonymous")


@lru_cache(maxsize=65536)
def describe(panel: Panel, window: Window, haplotype: str) -> HaplotypeName:
    """Name the forward-strand `haplotype` (any length, ACGT) of `window`."""
    start, ref, alt = _trim(window.start, window.reference, haplotype)
    if not ref and not alt:
        return HaplotypeName("p.=", "c.=", window.start + 1, "", "", "reference", (), ())
    protein, consequence, changes = _protein(panel, window, haplotype)
    known = {v.protein for v in panel.variants}
    inside = tuple(c for c in changes if c in known)
    vcf_start, vcf_ref, vcf_alt = _left_align(panel, window.exon, start, ref, alt)
    cdna = _cdna(panel, window, start, ref, alt)
    return HaplotypeName(protein, cdna, vcf_start + 1, vcf_ref, vcf_alt, consequence, changes, inside)


def shift_span(panel: Panel, window: Window, start: int, ref: str, alt: str) -> tuple[int, int]:
    """Span (0-based half-open) a change needs in its window: all places it can be aligned to, and for an indel
    one unchanged base on each side, so that a read that spans it shows the window's ends aligned."""
    start, ref, alt = _trim(start, ref, alt)
    if ref and alt:
        return start, start + len(ref)
    left, *_ = _shift(panel, window.exon, start, ref, alt, -1)
    right, *_ = _shift(panel, window.exon, start, ref, alt, +1)
    return left - 1, right + len(ref) + 1


def _trim(start: int, ref: str, alt: str) -> tuple[int, str, str]:
    """Drop the common suffix, then the common prefix."""
    keep = 0
    while keep < min(len(ref), len(alt)) and ref[-1 - keep] == alt[-1 - keep]:
        keep += 1
    ref, alt = ref[: len(ref) - keep], alt[: len(alt) - keep]
    skip = 0
    while skip < min(len(ref), len(alt)) and ref[skip] == alt[skip]:
        skip += 1
    return start + skip, ref[skip:], alt[skip:]


def _shift(panel: Panel, exon: int, start: int, ref: str, alt: str, step: int) -> tuple[int, str, str]:
    """Move a pure insertion or deletion as far left (-1) or right (+1) as the exon's sequence allows."""
    e = panel.exons[exon]
    seq, origin = e.sequence, e.start - FLANK
    moved = ref or alt
    while True:
        if step < 0:
            at = start - 1 - origin
            if at < 1 or seq[at] != moved[-1]:
                break
            moved = moved[-1] + moved[:-1]
        else:
            at = start + len(ref) - origin
            if at >= len(seq) - 1 or seq[at] != moved[0]:
                break
            moved = moved[1:] + moved[0]
        start += step
    return (start, moved, "") if ref else (start, "", moved)


def _left_align(panel: Panel, exon: int, start: int, ref: str, alt: str) -> tuple[int, str, str]:
    if ref and alt:
        return start, ref, alt
    start, ref, alt = _shift(panel, exon, start, ref, alt, -1)
    e = panel.exons[exon]
    anchor = e.sequence[start - 1 - (e.start - FLANK)]
    return start - 1, anchor + ref, anchor + alt


def _cdna(panel: Panel, window: Window, start: int, ref: str, alt: str) -> str:
    """The c. name of one trimmed change."""
    if ref and len(ref) == len(alt):
        names = [
            _substitution(panel, window, s, r, a) for s, r, a in _substituted_parts(panel, window, start, ref, alt)
        ]
        if panel.strand == "-":
            names.reverse()
        return f"c.{names[0]}" if len(names) == 1 else f"c.[{';'.join(names)}]"
    if ref and alt:
        return f"c.{_span(panel, window, start, len(ref))}delins{_coding(panel, alt)}"
    start, ref, alt = _shift(panel, window.exon, start, ref, alt, +1 if panel.strand == "+" else -1)
    if ref:
        return f"c.{_span(panel, window, start, len(ref))}del"
    e = panel.exons[window.exon]
    at = start - (e.start - FLANK)
    before = e.sequence[at - len(alt) : at] if panel.strand == "+" else e.sequence[at : at + len(alt)]
    if before == alt:
        return f"c.{_span(panel, window, start - len(alt) if panel.strand == '+' else start, len(alt))}dup"
    return f"c.{_span(panel, window, start - 1, 2)}ins{_coding(panel, alt)}"


def _substituted_parts(panel: Panel, window: Window, start: int, ref: str, alt: str) -> list[tuple[int, str, str]]:
    """Split an equal-length change into runs; changes that touch or share a codon stay one run."""
    parts: list[tuple[int, int]] = []
    for i in range(len(ref)):
        if ref[i] == alt[i]:
            continue
        if parts:
            last = parts[-1][1] - 1
            codons = [(panel.cds_of(window.exon, start + p) - 1) // 3 for p in (last, i)]
            if i == last + 1 or codons[0] == codons[1]:
                parts[-1] = parts[-1][0], i + 1
                continue
        parts.append((i, i + 1))
    return [(start + a, ref[a:b], alt[a:b]) for a, b in parts]


def _substitution(panel: Panel, window: Window, start: int, ref: str, alt: str) -> str:
    if len(ref) == 1:
        return f"{_span(panel, window, start, 1)}{_coding(panel, ref)}>{_coding(panel, alt)}"
    if alt == reverse_complement(ref):
        return f"{_span(panel, window, start, len(ref))}inv"
    return f"{_span(panel, window, start, len(ref))}delins{_coding(panel, alt)}"


def _span(panel: Panel, window: Window, start: int, length: int) -> str:
    positions = sorted({panel.cds_of(window.exon, p) for p in (start, start + length - 1)})
    return "_".join(_position(panel, window.exon, c) for c in positions)


def _position(panel: Panel, exon: int, c: int) -> str:
    """A c. position; one outside the exon (an indel shifted there) is named from the exon's nearest base."""
    e = panel.exons[exon]
    if c < e.cds_start:
        return f"-{1 - c}" if e.cds_start == 1 else f"{e.cds_start}-{e.cds_start - c}"
    if c > e.cds_end:
        stop = translate(panel.coding[e.cds_end - 3 : e.cds_end]) == "*" and e.cds_end % 3 == 0
        return f"*{c - e.cds_end}" if stop else f"{e.cds_end}+{c - e.cds_end}"
    return str(c)


def _coding(panel: Panel, bases: str) -> str:
    return bases if panel.strand == "+" else reverse_complement(bases)


def _protein(panel: Panel, window: Window, haplotype: str) -> tuple[str, str, tuple[str, ...]]:
    """(protein name, consequence, single protein changes) of a haplotype that is not the reference."""
    first_c = min(panel.cds_of(window.exon, p) for p in (window.start, window.end - 1))
    last_c = first_c + window.end - window.start - 1
    coding, grows = panel.coding, len(haplotype) - (window.end - window.start)
    mutated = coding[: first_c - 1] + _coding(panel, haplotype) + coding[last_c:]
    if grows == 0:
        return _exchanged(coding, mutated, range((first_c - 1) // 3, (last_c + 2) // 3))
    same = first_c - 1
    while same < min(len(coding), len(mutated)) and coding[same] == mutated[same]:
        same += 1
    return _resized(translate(coding), translate(mutated), same // 3, grows % 3 != 0)


def _exchanged(coding: str, mutated: str, codons: range) -> tuple[str, str, tuple[str, ...]]:
    """Equal length: each changed residue on its own, up to a stop."""
    names, silent, consequence = [], [], "missense"
    for i in codons:
        codon, changed = coding[3 * i : 3 * i + 3], mutated[3 * i : 3 * i + 3]
        old, new = translate(codon), translate(changed)
        if codon == changed:
            continue
        if "X" in (old, new):
            return _UNKNOWN
        if old == new:
            silent.append(f"{old}{i + 1}=")
        elif old == "*":
            names.append(f"*{i + 1}{new}ext*?")
            consequence = "stop_lost"
        else:
            names.append(f"{old}{i + 1}{new}")
        if new == "*" != old:
            consequence = "stop_gained"
            break
    if not names:
        return _join(silent), "synonymous", ()
    return _join(names), consequence, tuple(f"p.{n}" for n in names)


def _resized(old: str, new: str, skip: int, frameshift: bool) -> tuple[str, str, tuple[str, ...]]:
    """Another length; the first `skip` residues are untouched. Nothing is said past an unknown residue or the stop.

    Trimming the common start first places an in-frame change at the 3'-most residue, as HGVS asks.
    """
    while skip < min(len(old), len(new)) and old[skip] == new[skip] not in ("X", "*"):
        skip += 1
    was, now = old[skip : skip + 1], new[skip : skip + 1]
    if was in ("", "X") or now in ("", "X") or (was == "*" and (frameshift or now == "*")):
        return _UNKNOWN
    if frameshift:
        return _one(f"{was}{skip + 1}*", "stop_gained") if now == "*" else _one(f"{was}{skip + 1}fs", "frameshift")
    keep = 0
    while keep < min(len(old), len(new)) - skip and old[-1 - keep] == new[-1 - keep]:
        keep += 1
    gone, put = old[skip : len(old) - keep], new[skip : len(new) - keep]
    if "*" in gone or "X" in gone + put:
        return _UNKNOWN
    if put.startswith("*"):
        return _one(f"{was}{skip + 1}*", "stop_gained")
    stops, put = "*" in put, put.partition("*")[0] + "*" * ("*" in put)
    if not put:
        return _one(f"{_residues(old, skip, len(gone))}del", "inframe_deletion")
    if gone:
        return _one(f"{_residues(old, skip, len(gone))}delins{put}", "stop_gained" if stops else "inframe_indel")
    if old[:skip].endswith(put):
        return _one(f"{_residues(old, skip - len(put), len(put))}dup", "inframe_insertion")
    return _one(f"{_residues(old, skip - 1, 2)}ins{put}", "stop_gained" if stops else "inframe_insertion")


def _residues(protein: str, first: int, count: int) -> str:
    """``V422`` or ``V422_C423``: `count` residues from index `first`."""
    last = first + count - 1
    return f"{protein[first]}{first + 1}" + (f"_{protein[last]}{last + 1}" if count > 1 else "")


def _one(name: str, consequence: str) -> tuple[str, str, tuple[str, ...]]:
    return f"p.{name}", consequence, (f"p.{name}",)


def _join(names: list[str]) -> str:
    return f"p.{names[0]}" if len(names) == 1 else f"p.[{';'.join(names)}]"
