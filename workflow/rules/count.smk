# Molecules per haplotype of each codon window.
rule count:
    input:
        bam=f"{BATCH}/samples/{{sample}}/aligned.bam",
        bai=f"{BATCH}/samples/{{sample}}/aligned.bam.bai",
        panel=CONFIG.panel,
        reference=CONFIG.reference.path,
    output:
        counts=ensure(f"{BATCH}/samples/{{sample}}/counts.tsv", non_empty=True),
        stats=f"{BATCH}/samples/{{sample}}/counts.json",
    log:
        f"{LOGS}/count/{{sample}}.log",
    benchmark:
        f"{LOGS}/count/{{sample}}.benchmark.tsv"
    group:
        "sample"
    conda:
        "../envs/aligners.yaml"
    threads: CONFIG.alignment.threads
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        build=CONFIG.reference.build,
        min_mapq=CONFIG.counting.min_mapq,
        min_base_quality=CONFIG.counting.min_base_quality,
        umi=CONFIG.counting.umi,
        umi_correction=CONFIG.counting.umi_correction,
    shell:
        "esr1call count --bam {input.bam:q} --panel {input.panel:q} --reference {input.reference:q}"
        " --build {params.build} --min-mapq {params.min_mapq}"
        " --min-base-quality {params.min_base_quality} --umi {params.umi}"
        " --umi-correction {params.umi_correction} --threads {threads}"
        " --out {output.counts:q} --stats {output.stats:q} > {log:q} 2>&1"
