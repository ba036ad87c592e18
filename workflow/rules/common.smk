# What several rules share: where a sample's reads are, and what jobs need.
from esr1call.alignment.ubam import is_unaligned
from esr1call.io.files import sha256_of

INDEX_FOLDER = (
    f"{CONFIG.output}/index/{CONFIG.reference.path.name}.{CONFIG.reference.build}"
)
INDEX_FILES = [
    f"{INDEX_FOLDER}/reference.{kind}" for kind in ("amb", "ann", "bwt", "pac", "sa")
]


# The alignment that is kept, its index, and the option that says so; nothing where it goes once its reads are counted.
KEPT = (
    {
        "bam": ("aligned.bam", "aligned.bam.bai", "--keep-bam"),
        "cram": ("aligned.cram", "aligned.cram.crai", "--keep-cram"),
    }[CONFIG.alignment.format]
    if CONFIG.alignment.keep_bam
    else ()
)


def kept_alignments():
    """Alignments that the batch keeps: no step reads them, so that one that is missing must be asked for."""
    return [
        f"{BATCH}/samples/{sample}/{name}" for sample in SAMPLES for name in KEPT[:1]
    ]


def reads_of(wildcards):
    """The sample's input files."""
    return [str(p) for p in SAMPLES[wildcards.sample].files]


def is_aligned(sample):
    """Whether the sample comes as a BAM or CRAM that has been aligned."""
    return sample.bam is not None and not is_unaligned(sample.bam)


def content_of(*files):
    """A hash of each file that is named: a change of it is seen whatever the file's time, that of an older one too."""
    return [sha256_of(file) for file in files if file is not None]


def index_for(wildcards):
    """The index that the workflow makes, where the sample has to be aligned and no other index is given."""
    aligned = is_aligned(SAMPLES[wildcards.sample])
    return [] if aligned or CONFIG.reference.index else INDEX_FILES


def index_option(input):
    """Option that says where the aligner's index is, where one is needed."""
    made = input.get("index") or []
    prefix = made[0].removesuffix(".amb") if made else CONFIG.reference.index
    return ["--index", str(prefix)] if prefix else []


def source_of(wildcards):
    """Options that say where the sample's reads and UMIs are."""
    sample, settings = SAMPLES[wildcards.sample], CONFIG.alignment
    options = ["--umi", settings.umi, "--umi-delimiter", settings.umi_delimiter]
    if sample.bam:
        options += ["--bam", str(sample.bam)]
    else:
        one, two = sample.fastq_options
        options += ["--fastq-1", one, "--fastq-2", two]
        structure = sample.read_structure or settings.read_structure
        options += ["--read-structure", structure] if structure else []
    if is_aligned(sample):
        return options
    options += [
        "--adapter-1",
        settings.adapters[0],
        "--adapter-2",
        settings.adapters[1],
    ]
    options += ["--min-length", str(settings.min_length), "--aligner", settings.aligner]
    options += [] if settings.screen else ["--no-screen"]
    return options + (["--allow-empty"] if sample.type == "ntc" else [])


def growing(first):
    """A resource that a job gets more of each time it is tried again: mem_mb, or runtime in minutes."""
    return lambda wildcards, attempt: first * attempt


def with_reference(factor):
    """mem_mb of a job that holds so many bytes of index for each base of the reference."""
    packed = 4 if CONFIG.reference.path.suffix in (".gz", ".bgz") else 1
    return growing(
        1000 + int(CONFIG.reference.path.stat().st_size * packed * factor / 1e6)
    )
