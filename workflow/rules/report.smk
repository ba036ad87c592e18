# What a person reads first: what was found, and where reads were lost.
rule summary:
    input:
        results=expand(f"{BATCH}/samples/{{sample}}/result.json", sample=SAMPLES),
        align=expand(f"{BATCH}/samples/{{sample}}/align.json", sample=SAMPLES),
        counts=expand(f"{BATCH}/samples/{{sample}}/counts.json", sample=SAMPLES),
        qc=f"{BATCH}/qc.json",
        manifest=MANIFEST if PATIENT_SAMPLES else [],
    output:
        summary=f"{BATCH}/summary.txt",
        reads=f"{BATCH}/reads.tsv",
    log:
        f"{LOGS}/summary.log",
    benchmark:
        f"{LOGS}/summary.benchmark.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=10,
    params:
        folder=BATCH,
    shell:
        "esr1call summary {params.folder:q} --out {output.summary:q} --reads {output.reads:q}"
        " > {log:q} 2>&1"
