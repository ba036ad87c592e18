"""Names of haplotypes the slow way: build the whole mutated sequence, try every placement, keep what HGVS keeps.

Shares no code with the package: it works on the gene's strand throughout, on whole sequences, by brute force.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.genes import CODONS

FLANK = 20
_PAIR = {"A": "T", "C": "G", "G": "C", "T": "A", "N": "N"}


@dataclass(frozen=True)
class Window:
    """A window in one exon: `forward` is the exon's forward sequence with FLANK bases on each side, from `origin`.

    `first`/`last` are the exon's c. positions, `start`/`end` the window (0-based half-open on the genome), `cds` the
    whole coding sequence on the gene's strand ('N' where unknown).
    """

    strand: str
    cds: str
    first: int
    last: int
    origin: int
    forward: str
    start: int
    end: int

    def mutated(self, haplotype: str) -> str:
        """The forward sequence with the window's bases replaced."""
        return self.forward[: self.start - self.origin] + haplotype + self.forward[self.end - self.origin :]

    def label(self, i: int) -> str:
        """c. name of base `i` of the gene-strand sequence."""
        c = self.first + i - FLANK
        if c < self.first:
            return f"-{self.first - c}" if self.first == 1 else f"{self.first}-{self.first - c}"
        if c > self.last:
            return f"*{c - self.last}" if self.last == len(self.cds) else f"{self.last}+{c - self.last}"
        return str(c)

    def coding_before_and_after(self) -> tuple[str, str]:
        """The coding sequence outside the window."""
        left, right = self.start - self.origin - FLANK, self.end - self.origin - FLANK
        length = self.last - self.first + 1
        if self.strand == "-":
            left, right = length - right, length - left
        return self.cds[: self.first - 1 + left], self.cds[self.first - 1 + right :]


def flip(bases: str, strand: str) -> str:
    """Forward bases on the gene's strand, or back."""
    return bases if strand == "+" else "".join(_PAIR[b] for b in reversed(bases))


def vcf(w: Window, haplotype: str) -> tuple[int, str, str]:
    """The shortest, then leftmost allele (pos, ref, alt), neither side empty, that turns reference into haplotype."""
    old, new = w.forward, w.mutated(haplotype)
    grows = len(new) - len(old)
    for length in range(1, len(old)):
        if length + grows < 1:
            continue
        for at in range(len(old) - length + 1):
            if old[:at] == new[:at] and old[at + length :] == new[at + length + grows :]:
                return w.origin + at + 1, old[at : at + length], new[at : at + length + grows]
    raise AssertionError("no allele")


def placements(old: str, new: str) -> list[int]:
    """Every place where `new` is `old` with one run taken out, or one run put in."""
    k = abs(len(new) - len(old))
    short, long = sorted((old, new), key=len)
    return [i for i in range(len(short) + 1) if long[:i] + long[i + k :] == short]


def cdna(w: Window, haplotype: str) -> str:
    """The c. name."""
    old, new = flip(w.forward, w.strand), flip(w.mutated(haplotype), w.strand)
    if len(old) == len(new):
        parts = [_exchange(w, old, new, run) for run in _runs(w, old, new)]
        return "c." + (parts[0] if len(parts) == 1 else f"[{';'.join(parts)}]")
    k, places = abs(len(new) - len(old)), placements(old, new)
    if not places:
        a, b = _outer(old, new)
        return f"c.{_range(w, a, len(old) - b)}delins{new[a : len(new) - b]}"
    at = max(places)
    if len(new) < len(old):
        return f"c.{_range(w, at, at + k)}del"
    if old[at - k : at] == new[at : at + k]:
        return f"c.{_range(w, at - k, at)}dup"
    return f"c.{w.label(at - 1)}_{w.label(at)}ins{new[at : at + k]}"


def _runs(w: Window, old: str, new: str) -> list[list[int]]:
    """Changed places, together where they touch or lie in one codon."""
    runs: list[list[int]] = []
    for i in (i for i in range(len(old)) if old[i] != new[i]):
        c, before = w.first + i - FLANK, w.first + (runs[-1][-1] if runs else -9) - FLANK
        if runs and (c - before == 1 or (c - 1) // 3 == (before - 1) // 3):
            runs[-1].append(i)
        else:
            runs.append([i])
    return runs


def _exchange(w: Window, old: str, new: str, run: list[int]) -> str:
    a, b = run[0], run[-1] + 1
    if b - a == 1:
        return f"{w.label(a)}{old[a]}>{new[a]}"
    if new[a:b] == flip(old[a:b], "-"):
        return f"{_range(w, a, b)}inv"
    return f"{_range(w, a, b)}delins{new[a:b]}"


def _range(w: Window, a: int, b: int) -> str:
    return w.label(a) if b - a == 1 else f"{w.label(a)}_{w.label(b - 1)}"


def _outer(old: str, new: str) -> tuple[int, int]:
    """Lengths of the common start, and of the common end of what is left."""
    limit = min(len(old), len(new))
    a = next((i for i in range(limit) if old[i] != new[i]), limit)
    b = next((i for i in range(limit - a) if old[-1 - i] != new[-1 - i]), limit - a)
    return a, b


def protein(w: Window, haplotype: str) -> str:
    """The p. name, from the translation of the whole mutated coding sequence."""
    before, after = w.coding_before_and_after()
    mutated = before + flip(haplotype, w.strand) + after
    old, new = _translate(w.cds), _translate(mutated)
    if len(mutated) == len(w.cds):
        return _exchanged(w.cds, mutated, old, new)
    i = next((i for i in range(min(len(old), len(new))) if old[i] != new[i] or old[i] == "*"), min(len(old), len(new)))
    if len(mutated) % 3 != len(w.cds) % 3:
        if i == len(new) or old[i] == "*":
            return "p.?"
        return f"p.{old[i]}{i + 1}*" if new[i] == "*" else f"p.{old[i]}{i + 1}fs"
    return _in_frame(old, new)


def _exchanged(cds: str, mutated: str, old: str, new: str) -> str:
    names, silent = [], []
    for i, (a, b) in enumerate(zip(old, new, strict=True)):
        if a != b:
            names.append(f"{a}{i + 1}{b}" + ("ext*?" if a == "*" else ""))
        elif cds[3 * i : 3 * i + 3] != mutated[3 * i : 3 * i + 3]:
            silent.append(f"{a}{i + 1}=")
        if b == "*":
            break
    names = names or silent
    return "p." + (names[0] if len(names) == 1 else f"[{';'.join(names)}]")


def _in_frame(old: str, new: str) -> str:
    k = abs(len(new) - len(old))
    # Nothing is moved past the stop.
    places = [i for i in placements(old, new) if "*" not in min(old, new, key=len)[:i]]
    if places:
        at = max(places)
        gone, put = ("", new[at : at + k]) if len(new) > len(old) else (old[at : at + k], "")
    else:
        at, b = _outer(old, new)
        gone, put = old[at : len(old) - b], new[at : len(new) - b]
    if "*" in old[:at] + gone:
        return "p.?"
    if "*" in put:
        put = put[: put.index("*") + 1]
    if put == "*" == old[at]:
        return "p.?"
    if put == "*":
        return f"p.{old[at]}{at + 1}*"
    if gone:
        return f"p.{_residues(old, at, at + len(gone))}del" + (f"ins{put}" if put else "")
    if old[max(0, at - k) : at] == put:
        return f"p.{_residues(old, at - k, at)}dup"
    return f"p.{_residues(old, at - 1, at + 1)}ins{put}"


def _residues(protein: str, a: int, b: int) -> str:
    return f"{protein[a]}{a + 1}" + (f"_{protein[b - 1]}{b}" if b - a > 1 else "")


def _translate(coding: str) -> str:
    return "".join(CODONS.get(coding[i : i + 3], "X") for i in range(0, len(coding) - 2, 3))
