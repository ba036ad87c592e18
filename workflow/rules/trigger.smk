# Each patient's decision from all of her results in the study's ledger, and one file per event that is news.
# Only the lists are outputs: Snakemake removes outputs before it runs a rule, and must never remove an event.
PATIENT_SAMPLES = [s.sample for s in batch.of_type("patient")]
MANIFEST = f"{BATCH}/triggers/manifest.json"


rule trigger:
    input:
        results=expand(
            f"{BATCH}/samples/{{sample}}/result.json", sample=PATIENT_SAMPLES
        ),
        rule=CONFIG.trigger.rule,
    output:
        decisions=f"{BATCH}/triggers/decisions.tsv",
        manifest=MANIFEST,
    log:
        f"{LOGS}/trigger.log",
    benchmark:
        f"{LOGS}/trigger.benchmark.tsv"
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=60,
    params:
        folder=f"{BATCH}/triggers",
        ledger=CONFIG.trigger.ledger,
        study=CONFIG.study,
        batch=CONFIG.batch,
    shell:
        "esr1call trigger {input.results:q} --rule {input.rule:q} --ledger {params.ledger:q}"
        " --study {params.study:q} --batch {params.batch:q} --out {params.folder:q} > {log:q} 2>&1"
