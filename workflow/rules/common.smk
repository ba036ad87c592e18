# What several rules share: where a sample's reads are, and what jobs need.
INDEX_FOLDER = (
    f"{CONFIG.output}/index/{CONFIG.reference.path.name}.{CONFIG.reference.build}"
)
INDEX_FILES = [
    f"{INDEX_FOLDER}/reference.{kind}" for kind in ("amb", "ann", "bwt", "pac", "sa")
]


KEEP_BAM = CONFIG.alignment.keep_bam


def reads_of(wildcards):
    """The sample's input files."""
    return [str(p) for p in SAMPLES[wildcards.sample].files]


def index_for(wildcards):
    """The index that the workflow makes, where the sample has to be aligned and no other index is given."""
    aligned = SAMPLES[wildcards.sample].bam is not None
    return [] if aligned or CONFIG.reference.index else INDEX_FILES


def index_option(input):
    """Option that says where the aligner's index is, where one is needed."""
    made = input.get("index") or []
    prefix = made[0].removesuffix(".amb") if made else CONFIG.reference.index
    return ["--index", str(prefix)] if prefix else []


def source_of(wildcards):
    """Options that say where the sample's reads and UMIs are."""
    sample, settings = SAMPLES[wildcards.sample], CONFIG.alignment
    if sample.bam:
        return ["--bam", str(sample.bam), "--umi", settings.umi]
    options = ["--fastq-1", str(sample.fastq_1), "--fastq-2", str(sample.fastq_2)]
    structure = sample.read_structure or settings.read_structure
    options += ["--read-structure", structure] if structure else []
    options += ["--umi", settings.umi, "--umi-delimiter", settings.umi_delimiter]
    options += [
        "--adapter-1",
        settings.adapters[0],
        "--adapter-2",
        settings.adapters[1],
    ]
    options += ["--min-length", str(settings.min_length), "--aligner", settings.aligner]
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
