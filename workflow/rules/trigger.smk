# Each patient's decision from all of her results in the study's ledger, and one file per event that is news.
# Only the lists are outputs: Snakemake removes outputs before it runs a rule, and must never remove an event.
PATIENT_SAMPLES = [s.sample for s in batch.of_type("patient")]
MANIFEST = f"{BATCH}/triggers/manifest.json"


rule trigger:
    input:
        calls=f"{BATCH}/calls.tsv",
        rule=CONFIG.trigger.rule,
    output:
        decisions=f"{BATCH}/triggers/decisions.tsv",
        manifest=MANIFEST,
    log:
        f"{LOGS}/trigger.log",
    benchmark:
        f"{LOGS}/trigger.benchmark.tsv"
    conda:
        "../envs/aligners.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(60),
    params:
        folder=subpath(output.manifest, parent=True),
        # one name for all results: as many names as a large batch has are too long for a command
        results=subpath(output.manifest, ancestor=2),
        # not in the command, as in rule call
        content=content_of(CONFIG.trigger.rule),
        config=SETTINGS,
        ledger=CONFIG.trigger.ledger,
        study=CONFIG.study,
        batch=CONFIG.batch,
        key=(
            ["--key", str(CONFIG.trigger.signing_key)]
            if CONFIG.trigger.signing_key
            else []
        ),
    shell:
        "esr1call trigger --batch-dir {params.results:q} --config {params.config:q} --rule {input.rule:q}"
        " --ledger {params.ledger:q} --study {params.study:q} --batch {params.batch:q}"
        " --out {params.folder:q} {params.key:q} > {log:q} 2>&1"
