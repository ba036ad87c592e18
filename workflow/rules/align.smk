# FASTQ to coordinate-sorted, indexed BAM with UMIs in RX; a BAM or CRAM of the sample sheet is sorted and indexed.
INDEX_FOLDER = (
    f"{CONFIG.output}/index/{CONFIG.reference.path.name}.{CONFIG.reference.build}"
)
INDEX_FILES = multiext(
    f"{INDEX_FOLDER}/reference", ".amb", ".ann", ".bwt", ".pac", ".sa"
)


def align_reads(wildcards):
    """The sample's input files."""
    return [str(p) for p in SAMPLES[wildcards.sample].files]


def align_source(wildcards):
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


rule index:
    input:
        CONFIG.reference.path,
    output:
        INDEX_FILES,
    log:
        f"{INDEX_FOLDER}/index.log",
    benchmark:
        f"{INDEX_FOLDER}/index.benchmark.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 8000 * attempt,
        runtime=180,
    params:
        folder=INDEX_FOLDER,
    shell:
        "esr1call index --reference {input:q} --out-dir {params.folder:q} > {log:q} 2>&1"


rule align:
    input:
        reads=align_reads,
        reference=CONFIG.reference.path,
        panel=CONFIG.panel,
        index=[] if CONFIG.reference.index else INDEX_FILES,
    output:
        bam=f"{BATCH}/samples/{{sample}}/aligned.bam",
        bai=f"{BATCH}/samples/{{sample}}/aligned.bam.bai",
        stats=f"{BATCH}/samples/{{sample}}/align.json",
    log:
        f"{LOGS}/align/{{sample}}.log",
    benchmark:
        f"{LOGS}/align/{{sample}}.benchmark.tsv"
    threads: CONFIG.alignment.threads
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=120,
    params:
        source=align_source,
        build=CONFIG.reference.build,
        index=str(CONFIG.reference.index or f"{INDEX_FOLDER}/reference"),
    shell:
        "esr1call align --sample {wildcards.sample:q} {params.source:q} --reference {input.reference:q}"
        " --index {params.index:q} --build {params.build} --panel {input.panel:q} --threads {threads}"
        " --out {output.bam:q} --stats {output.stats:q} > {log:q} 2>&1"
