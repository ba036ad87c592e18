# FASTQ to coordinate-sorted, indexed BAM with UMIs in RX; a BAM or CRAM of the sample sheet is sorted and indexed.
rule index:
    input:
        CONFIG.reference.path,
    output:
        ensure(INDEX_FILES, non_empty=True),
    log:
        f"{INDEX_FOLDER}/index.log",
    benchmark:
        f"{INDEX_FOLDER}/index.benchmark.tsv"
    conda:
        "../envs/aligners.yaml"
    resources:
        mem_mb=with_reference(6),
        runtime=growing(180),
    params:
        folder=subpath(output[0], parent=True),
    shell:
        "esr1call index --reference {input:q} --out-dir {params.folder:q} > {log:q} 2>&1"


rule align:
    input:
        reads=align_reads,
        reference=CONFIG.reference.path,
        panel=CONFIG.panel,
        index=[] if CONFIG.reference.index else INDEX_FILES,
    output:
        bam=ensure(
            kept(f"{BATCH}/samples/{{sample}}/aligned.bam"),
            non_empty=True,
        ),
        bai=ensure(
            kept(f"{BATCH}/samples/{{sample}}/aligned.bam.bai"),
            non_empty=True,
        ),
        stats=f"{BATCH}/samples/{{sample}}/align.json",
    log:
        f"{LOGS}/align/{{sample}}.log",
    benchmark:
        f"{LOGS}/align/{{sample}}.benchmark.tsv"
    group:
        "sample"
    conda:
        "../envs/aligners.yaml"
    threads: CONFIG.alignment.threads
    resources:
        mem_mb=with_reference(6 if CONFIG.alignment.aligner == "bwa-mem2" else 2),
        runtime=growing(120),
    params:
        source=align_source,
        build=CONFIG.reference.build,
        index=lambda wildcards, input: str(
            CONFIG.reference.index or input.index[0].removesuffix(".amb")
        ),
    shell:
        "esr1call align --sample {wildcards.sample:q} {params.source:q} --reference {input.reference:q}"
        " --index {params.index:q} --build {params.build} --panel {input.panel:q} --threads {threads}"
        " --out {output.bam:q} --stats {output.stats:q} > {log:q} 2>&1"
