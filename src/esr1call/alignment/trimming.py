"""Where a short fragment's reads run past its end.

Read 1 of a fragment shorter than the read goes on with the reverse complement of read 2's UMI and spacer, then with
the adapter. The two mates tell the fragment's length themselves: read 1's template up to the fragment's end is the
reverse complement of read 2's. Only where they do not (one mate is bad) is the adapter's sequence looked for.

All functions are pure and take template bases as read (5' to 3' of each read), upper case.
"""

from __future__ import annotations

SEED = 12
"""Bases that must match exactly to propose an overlap or an adapter; also the shortest fragment an overlap can show."""
_SEEDS = tuple(range(0, 5 * SEED, SEED))
_MISMATCHES = 0.15
"""Largest share of mismatching bases in the mates' overlap."""
_ALONE, _AGREED = 10, 4
"""Fewest adapter bases at a read's 3' end that count: in one read alone, or in both mates at the same length."""

_COMPLEMENT = bytes.maketrans(b"ACGTN", b"TGCAN")


def reverse_complements(reads: list[str]) -> list[str]:
    """Reverse complement of each read, in one pass over their bytes."""
    return "\n".join(reads).encode().translate(_COMPLEMENT)[::-1].decode().split("\n")[::-1]


def mismatches(a: str, b: str) -> int:
    """Positions at which two ASCII strings of equal length differ."""
    if a == b:
        return 0
    # Equal bytes give zero bytes in the exclusive or: several times faster than comparing letter by letter.
    differ = int.from_bytes(a.encode()) ^ int.from_bytes(b.encode())
    return len(a) - differ.to_bytes(len(a)).count(0)


def overlap_length(template: str, mate_rc: str) -> int | None:
    """Fragment length that the mates' overlap shows, or None where they show none.

    `template` is read 1's, `mate_rc` the reverse complement of read 2's template. A length beyond both reads means
    that nothing needs trimming. Of several lengths the one with the smallest share of mismatches wins, then the
    longest: in a repeat, template is kept rather than cut.
    """
    n, m = len(template), len(mate_rc)
    if min(n, m) < SEED:
        return None
    # Nearly every pair: the mates agree to the last base, in a short fragment and in no other place ...
    seed = mate_rc[m - SEED :]
    at = template.find(seed)
    if at >= 0:
        length = at + SEED
        if template[max(0, length - m) : length] == mate_rc[max(0, m - length) :] and template.find(seed, at + 1) < 0:
            return length
    # ... or in one longer than the reads, so that the end of read 1 lies inside its mate.
    at = mate_rc.find(template[n - SEED :])
    inner = n - SEED + m - at if at >= 0 else 0
    if inner >= max(n, m) and template[inner - m :] == mate_rc[: n + m - inner]:
        return inner
    best: tuple[float, int] | None = None
    for length in _seeded_lengths(template, mate_rc) | ({inner} if inner else set()):
        low, high = max(0, length - m), min(length, n)
        wrong = mismatches(template[low:high], mate_rc[m - length + low : m - length + high])
        if wrong <= _MISMATCHES * (high - low):
            best = max(best or (-1.0, 0), (-wrong / (high - low), length))
    return best[1] if best else None


def _seeded_lengths(template: str, mate_rc: str) -> set[int]:
    """Fragment lengths that a stretch near read 2's beginning proposes by where it lies in read 1."""
    found = set()
    for offset in _SEEDS:
        end = len(mate_rc) - offset
        if end < SEED:
            break
        seed = mate_rc[end - SEED : end]
        at = template.find(seed)
        while at >= 0:
            found.add(at + SEED + offset)
            at = template.find(seed, at + 1)
    return found


def adapter_length(template: str, mate: str, tail: str, mate_tail: str, adapter_at: int, mate_adapter_at: int) -> int:
    """Fragment length that adapter sequence in one of the mates shows; the longer template's length where none.

    `tail` is what follows a short fragment in read 1: the reverse complement of read 2's UMI and spacer (its first
    `adapter_at` bases), then the adapter; `mate_tail` and `mate_adapter_at` likewise for read 2 (`mate`).
    """
    whole = max(len(template), len(mate))
    inside = [
        found
        for found in (_adapter(template, tail, adapter_at), _adapter(mate, mate_tail, mate_adapter_at))
        if found is not None
    ]
    if inside:
        return min(inside)
    reads = ((template, tail), (mate, mate_tail))
    for read, expected in reads:
        for length in _partial(read, expected):
            shown = [r[length:] for r, _ in reads]
            agree = [len(s) >= _AGREED and _like(s, t) for s, (_, t) in zip(shown, reads, strict=True)]
            if all(agree) or len(read) - length >= _ALONE:
                return length
    return whole


def _adapter(read: str, tail: str, adapter_at: int) -> int | None:
    """Fragment length from a piece of the adapter inside the read."""
    for piece in (0, SEED):
        seed = tail[adapter_at + piece : adapter_at + piece + SEED]
        at = read.find(seed) if len(seed) == SEED else -1
        if at >= 0:
            return max(0, at - adapter_at - piece)
    return None


def _partial(read: str, tail: str) -> list[int]:
    """Lengths, shortest first, from which on the rest of the read is like the tail's beginning."""
    found = []
    at = read.find(tail[:_AGREED], max(0, len(read) - len(tail))) if len(tail) >= _AGREED else -1
    while at >= 0:
        if _like(read[at:], tail):
            found.append(at)
        at = read.find(tail[:_AGREED], at + 1)
    return found


def _like(shown: str, tail: str) -> bool:
    n = min(len(shown), len(tail))
    return mismatches(shown[:n], tail[:n]) <= n // 10
