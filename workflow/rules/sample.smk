# One sample's reads to molecules per haplotype of each codon window, in one process.
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


rule sample:
    input:
        reads=reads_of,
        reference=CONFIG.reference.path,
        panel=CONFIG.panel,
        index=index_for,
        snps=CONFIG.qc.snps or [],
    output:
        counts=ensure(f"{BATCH}/samples/{{sample}}/counts.tsv", non_empty=True),
        stats=f"{BATCH}/samples/{{sample}}/counts.json",
        align=f"{BATCH}/samples/{{sample}}/align.json",
        molecules=f"{BATCH}/samples/{{sample}}/molecules.npz",
        bam=ensure(
            [f"{BATCH}/samples/{{sample}}/{name}" for name in KEPT[:1]],
            non_empty=True,
        ),
        bai=ensure(
            [f"{BATCH}/samples/{{sample}}/{name}" for name in KEPT[1:2]],
            non_empty=True,
        ),
    log:
        f"{LOGS}/sample/{{sample}}.log",
    benchmark:
        f"{LOGS}/sample/{{sample}}.benchmark.tsv"
    group:
        "sample"
    conda:
        "../envs/aligners.yaml"
    threads: CONFIG.alignment.threads
    resources:
        mem_mb=with_reference(6 if CONFIG.alignment.aligner == "bwa-mem2" else 2),
        runtime=growing(120),
    params:
        source=source_of,
        # not in the command: reads that were replaced are counted again, by older files too
        reads=lambda wildcards: list(look_at(reads_of(wildcards)).values()),
        build=CONFIG.reference.build,
        index=lambda wildcards, input: index_option(input),
        # a function of `output` is no parameter whose change runs the sample again: a BAM that is missing does that
        keep=lambda wildcards, output: KEPT[2] if output.get("bam") else "",
        folder=subpath(output.counts, parent=True),
        min_mapq=CONFIG.counting.min_mapq,
        min_base_quality=CONFIG.counting.min_base_quality,
        umi=CONFIG.counting.umi,
        umi_correction=CONFIG.counting.umi_correction,
        snps=["--snps", CONFIG.qc.snps] if CONFIG.qc.snps else [],
    shell:
        "esr1call sample --sample {wildcards.sample:q} {params.source:q} --reference {input.reference:q}"
        " {params.index:q} --build {params.build} --panel {input.panel:q} --threads {threads}"
        " --min-mapq {params.min_mapq} --min-base-quality {params.min_base_quality}"
        " --counting-umi {params.umi} --umi-correction {params.umi_correction}"
        " {params.snps:q} --out-dir {params.folder:q} {params.keep} > {log:q} 2>&1"
