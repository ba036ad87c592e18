# The batch's results in the formats that other systems read.
rule export:
    input:
        calls=f"{BATCH}/calls.tsv",
        counts=expand(f"{BATCH}/samples/{{sample}}/counts.json", sample=SAMPLES),
        qc=f"{BATCH}/qc.json",
        panel=CONFIG.panel,
        reference=CONFIG.reference.path,
        rule=CONFIG.trigger.rule,
    output:
        directory(f"{BATCH}/export"),
    log:
        f"{LOGS}/export.log",
    benchmark:
        f"{LOGS}/export.benchmark.tsv"
    conda:
        "../envs/aligners.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(30),
    params:
        # not in the command: a change of them writes again
        settings=json.dumps(
            [batch.settings.get(k) for k in ("study", "calling", "export")],
            sort_keys=True,
        ),
        folder=subpath(output[0], parent=True),
    shell:
        "esr1call export {params.folder:q} --out {output:q} > {log:q} 2>&1"
