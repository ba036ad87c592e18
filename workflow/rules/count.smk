# Molecules per haplotype of each codon window.
rule count:
    input:
        bam=f"{BATCH}/samples/{{sample}}/aligned.bam",
        bai=f"{BATCH}/samples/{{sample}}/aligned.bam.bai",
        panel=CONFIG.panel,
        reference=CONFIG.reference.path,
    output:
        counts=f"{BATCH}/samples/{{sample}}/counts.tsv",
        stats=f"{BATCH}/samples/{{sample}}/counts.json",
    log:
        f"{LOGS}/count/{{sample}}.log",
    benchmark:
        f"{LOGS}/count/{{sample}}.benchmark.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=30,
    params:
        build=CONFIG.reference.build,
        settings=CONFIG.counting,
    shell:
        "esr1call count --bam {input.bam:q} --panel {input.panel:q} --reference {input.reference:q}"
        " --build {params.build} --min-mapq {params.settings.min_mapq}"
        " --min-base-quality {params.settings.min_base_quality} --umi {params.settings.umi}"
        " --umi-correction {params.settings.umi_correction} --threads {threads}"
        " --out {output.counts:q} --stats {output.stats:q} > {log:q} 2>&1"
