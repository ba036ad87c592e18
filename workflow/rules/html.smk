# The pages that people look at and print: one of the batch, one of each sample.
rule html:
    input:
        calls=f"{BATCH}/calls.tsv",
        align=expand(f"{BATCH}/samples/{{sample}}/align.json", sample=SAMPLES),
        qc=f"{BATCH}/qc.json",
        manifest=MANIFEST if PATIENT_SAMPLES else [],
        provenance=f"{BATCH}/provenance.json",
        rule=CONFIG.trigger.rule,
    output:
        # each sample's page is written beside its result and not listed (see rule call)
        batch=report(f"{BATCH}/report.html", category="Batch"),
    log:
        f"{LOGS}/html.log",
    benchmark:
        f"{LOGS}/html.benchmark.tsv"
    conda:
        "../envs/aligners.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(30),
    params:
        # not in the command: a change of them writes again
        settings=json.dumps(
            [batch.settings.get(k) for k in ("study", "calling", "qc", "export")],
            sort_keys=True,
        ),
        ledger=CONFIG.trigger.ledger,
        folder=subpath(output.batch, parent=True),
    shell:
        "esr1call report {params.folder:q} > {log:q} 2>&1"
