# What a person reads first: what was found, and where reads were lost.
rule summary:
    input:
        calls=f"{BATCH}/calls.tsv",
        align=expand(f"{BATCH}/samples/{{sample}}/align.json", sample=SAMPLES),
        counts=expand(f"{BATCH}/samples/{{sample}}/counts.json", sample=SAMPLES),
        qc=f"{BATCH}/qc.json",
        manifest=MANIFEST if PATIENT_SAMPLES else [],
    output:
        summary=ensure(f"{BATCH}/summary.txt", non_empty=True),
        reads=ensure(f"{BATCH}/reads.tsv", non_empty=True),
    log:
        f"{LOGS}/summary.log",
    benchmark:
        f"{LOGS}/summary.benchmark.tsv"
    conda:
        "../envs/aligners.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        folder=subpath(output.summary, parent=True),
    shell:
        # no more than a screen; `esr1call summary FOLDER` shows every row
        "esr1call summary {params.folder:q} --rows 40 --out {output.summary:q} --reads {output.reads:q}"
        " > {log:q} 2>&1"
