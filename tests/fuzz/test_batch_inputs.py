"""What a laboratory writes by hand: sample sheet, config, panel, SNPs, reference. One clear line, or what it says."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import pytest
import yaml

from esr1call.io.batch import Batch, load_batch
from esr1call.io.reference import Reference, load_panel
from esr1call.io.sheet import Sample, load_sheet
from esr1call.panel import Panel
from esr1call.panel_file import parse, resolve
from esr1call.snps import parse_snps
from tests.builders import PANEL_TSV, REFERENCE_FASTA, ROOT, esr1_panel, fetcher, slices
from tests.fuzz.mutate import json_mutants, mutants, table_mutants
from tests.fuzz.surface import Attack, Surface, command, refused
from tests.io.test_batch import Lab
from tests.trigger_builders import RULE_FILE

SNPS_TSV = ROOT / "config" / "panels" / "esr1_snps.tsv"


def some_lab(folder: Path) -> Lab:
    """A batch of every kind of sample, which passes `esr1call batch check`."""
    lab = Lab(folder)
    lab.settings |= {
        "output": str(folder / "results"), "panel": str(PANEL_TSV), "background": "fit",
        "reference": {"path": str(REFERENCE_FASTA), "build": "GRCh38"}, "counting": {"umi": "duplex", "min_mapq": 20},
        "trigger": {"rule": str(RULE_FILE), "ledger": str(folder / "l" / "x.sqlite")},
        "qc": {"snps": str(SNPS_TSV)}, "calling": {"alpha": 0.05}, "export": {"formats": ["vcf", "fhir"]},
    }  # fmt: skip
    for name in ("b1", "b2", "b3"):
        lab.row(name, type="blank", fastq_1=f"{name}_1.fq;{name}_3.fq", fastq_2=f"{name}_2.fq;{name}_4.fq")
    lab.row("s1", plasma_ml="4", cfdna_ng="30.5", read_structure="8M+T 8M+T").row(
        "s2", visit="V2", collected="2024-02-28"
    )
    lab.row("pc", type="positive_control", expected="p.D538G=0.01;p.Y537S=0.004..0.006", fastq_2="interleaved")
    lab.row("ntc", type="ntc")
    for i in (1, 2, 3, 4):
        for name in ("b1", "b2", "b3"):
            (folder / f"{name}_{i}.fq").write_text("reads")
    for file in folder.glob("*.fq"):
        file.write_text("@r\nACGTACGTAC\n+\nIIIIIIIIII\n" * (2 if file.name == "pc_1.fq" else 1))
    lab.sheet()
    lab.config()
    return lab


def texts(whole: bytes, number: int, seed: int) -> Iterator[bytes]:
    """A table changed as bytes and as a table."""
    yield from mutants(whole, number // 4, seed)
    yield from table_mutants(whole.decode(), number - number // 4, seed)


def sheet(folder: Path) -> Attack:
    """Samples that are taken are those of the rows, cell by cell."""
    whole, path = some_lab(folder).sheet().read_bytes(), folder / "given.tsv"

    def check(content: bytes) -> bool:
        path.write_bytes(content)
        found: list[Sample] = []
        if refused(lambda: found.extend(load_sheet(path, check_files=len(content) % 4 == 0)), path):
            return False
        lines = [line.rstrip("\r").split("\t") for line in content.decode("utf-8-sig").split("\n")]
        lines = [[c.strip() for c in line] for line in lines if "".join(line).strip() and not line[0].startswith("#")]
        rows = [dict(zip(lines[0], line, strict=True)) for line in lines[1:]]
        for sample, row in zip(found, rows, strict=True):
            assert (sample.sample, sample.type) == (row["sample"], row["type"])
            assert (sample.patient or "", sample.visit or "") == (row.get("patient", ""), row.get("visit", ""))
            assert str(sample.collected or "") == row.get("collected", "")
            assert (sample.plasma_ml or 0) == float(row.get("plasma_ml") or 0)
        return True

    return Attack(lambda number, seed: texts(whole, number, seed), check)


def config(folder: Path) -> Attack:
    """Text and values changed; what is taken is what the YAML says."""
    lab = some_lab(folder)
    whole, path = lab.config().read_bytes(), folder / "given.yaml"

    def inputs(number: int, seed: int) -> Iterator[bytes]:
        yield from mutants(whole, number // 2, seed)
        for value in json_mutants(json.dumps(lab.settings).encode(), number - number // 2, seed):
            yield json.dumps(value).encode() if seed % 2 else yaml.safe_dump(value).encode("utf-8", "surrogatepass")

    def check(content: bytes) -> bool:
        path.write_bytes(content)
        found: list[Batch] = []
        if refused(lambda: found.append(load_batch(path, check_files=len(content) % 4 == 0))):
            return False
        said: dict[str, Any] = yaml.safe_load(content)
        assert found[0].config.batch == said["batch"]
        assert found[0].config.counting.min_mapq == int(said.get("counting", {}).get("min_mapq", 20))
        return True

    return Attack(inputs, check)


CODONS = dict(zip((a + b + c for a in "TCAG" for b in "TCAG" for c in "TCAG"),
                  "FFLLSSSSYY**CC*WLLLLPPPPHHQQRRRRIIIMTTTTNNKKSSRRVVVVAAAADDEEGGGG", strict=True))  # fmt: skip


def panel(folder: Path) -> Attack:
    """Each allele of a panel that is taken is the reference with its change, and of an exchange the protein's name."""
    whole, path, fetch = PANEL_TSV.read_bytes(), folder / "panel.tsv", fetcher(slices())

    def check(content: bytes) -> bool:
        path.write_bytes(content)
        found: list[Panel] = []
        build = "GRCh37" if len(content) % 5 == 0 else "GRCh38"
        lines = path.read_text("utf-8-sig").splitlines() if content.isascii() else None

        def use() -> None:
            if lines is None:
                found.append(load_panel(path, Reference(REFERENCE_FASTA), build))
            else:
                found.append(resolve(parse(lines, str(path)), build, fetch))

        if refused(use, path):
            return False
        for v in found[0].variants:
            assert check_allele(v.pos, v.ref, v.alt, v.protein), v
        return True

    return Attack(lambda number, seed: texts(whole, number, seed), check)


def check_allele(pos: int, ref: str, alt: str, protein: str) -> bool:
    """Whether the reference has `ref` at `pos` (1-based), and an exchange of one residue is called what it makes."""
    fetch = fetcher(slices())
    if fetch("chr6", pos - 1, pos - 1 + len(ref)) != ref:
        return False
    exon = next(e for e in esr1_panel().exons if e.start <= pos - 1 < e.end)
    if len(ref) != len(alt) or not protein[3:-1].isdigit():
        return True
    start = exon.start + (3 * int(protein[3:-1]) - 2 - exon.cds_start)
    codon = fetch("chr6", start, start + 3)
    at = pos - 1 - start
    shown = codon[:at] + alt + codon[at + len(alt) :]
    return CODONS[codon] == protein[2] and CODONS[shown] == protein[-1].replace("=", protein[2])


def snps(folder: Path) -> Attack:
    """SNPs that are taken have the reference's base."""
    whole, path, fetch = SNPS_TSV.read_bytes(), folder / "snps.tsv", fetcher(slices())

    def check(content: bytes) -> bool:
        found: list[Any] = []
        try:
            lines = content.decode("utf-8-sig").splitlines()
        except UnicodeDecodeError:
            return False
        if refused(lambda: found.extend(parse_snps(lines, str(path), "GRCh38", fetch)), path):
            return False
        assert all(fetch(s.contig, s.position, s.position + 1) == s.ref != s.alt for s in found)
        return True

    return Attack(lambda number, seed: texts(whole, number, seed), check)


def reference(folder: Path) -> Attack:
    """A reference that was changed is refused where the panel tells, and else is what its lines say."""
    whole, path = REFERENCE_FASTA.read_bytes(), folder / "r.fa"
    lines = whole.split(b"\n")

    def inputs(number: int, seed: int) -> Iterator[bytes]:
        yield from mutants(whole, number // 2, seed)
        chance = Random(seed)
        for _ in range(number - number // 2):
            changed = list(lines)
            at = chance.randrange(len(changed))
            changed[at : at + 1] = chance.choice(
                ([], [b""], [changed[at]] * 2, [changed[at][:-1]], [b">" + changed[at]])
            )
            yield b"\n".join(changed)

    def check(content: bytes) -> bool:
        path.write_bytes(content)
        found: list[Panel] = []

        def use() -> None:
            opened = Reference(path)
            try:
                found.append(load_panel(PANEL_TSV, opened, "GRCh38"))
            finally:
                opened.close()

        if refused(use):
            return False
        sound = esr1_panel()
        assert (found[0].variants, found[0].coding) == (sound.variants, sound.coding)
        return True

    return Attack(inputs, check)


def commands(folder: Path) -> Attack:
    """All of these by `esr1call batch check` and `esr1call panel`."""
    some_lab(folder)
    config_file, sheet_file = folder / "config.yaml", folder / "samples.tsv"
    good = {sheet_file: sheet_file.read_bytes(), config_file: config_file.read_bytes()}
    given_panel = folder / "given.tsv"
    assert command(["batch", "check", str(config_file)])

    def inputs(number: int, seed: int) -> Iterator[tuple[Path, bytes]]:
        chance = Random(seed)
        for i in range(number):
            path = chance.choice((sheet_file, config_file, given_panel))
            if chance.random() < 0.1:  # a sound one must be answered
                yield path, good.get(path) or PANEL_TSV.read_bytes()
            elif path == config_file:
                yield path, next(mutants(good[path], 1, seed + i))
            else:
                whole = PANEL_TSV.read_bytes() if path == given_panel else good[path]
                yield path, next(table_mutants(whole.decode(), 1, seed + i))

    def check(given: tuple[Path, bytes]) -> bool:
        path, content = given
        for file, whole in good.items():
            file.write_bytes(whole)
        path.write_bytes(content)
        if path == given_panel:
            return command(["panel", "--panel", str(path), "--reference", str(REFERENCE_FASTA)], path)
        return command(["batch", "check", str(config_file)])

    return Attack(inputs, check)


SURFACES = [
    Surface("sample sheet", 11_000_000, 600, sheet),
    Surface("config", 12_000_000, 100, config),
    Surface("panel", 13_000_000, 60, panel),
    Surface("SNPs", 14_000_000, 1000, snps),
    Surface("reference", 15_000_000, 40, reference),
    Surface("sheet, config and panel, by batch check and panel", 16_000_000, 20, commands),
]


@pytest.mark.parametrize("surface", SURFACES, ids=str)
def test_damaged(surface: Surface, tmp_path: Path) -> None:
    answered, turned_away = surface.rounds(tmp_path)
    assert answered
    assert turned_away
