"""Simulated cfDNA sequencing with known truth: `simulate_sample` draws a sample, `write_fastq` writes it."""

from esr1call.simulate.fastq import write_fastq, write_molecules
from esr1call.simulate.fragments import hotspot_targets
from esr1call.simulate.parameters import (
    Change,
    SimulationParameters,
    Snp,
    Spike,
    parse_read_structure,
    parse_snp,
    parse_spike,
)
from esr1call.simulate.sample import ReadChunk, Simulation, simulate_sample

__all__ = [
    "Change",
    "ReadChunk",
    "Simulation",
    "SimulationParameters",
    "Snp",
    "Spike",
    "hotspot_targets",
    "parse_read_structure",
    "parse_snp",
    "parse_spike",
    "simulate_sample",
    "write_fastq",
    "write_molecules",
]
