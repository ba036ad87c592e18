# The merged settings as the steps of the whole batch read them, and as people find them beside the results.
rule settings:
    output:
        SETTINGS,
    log:
        f"{LOGS}/settings.log",
    benchmark:
        f"{LOGS}/settings.benchmark.tsv"
    conda:
        "../envs/aligners.yaml"
    resources:
        mem_mb=growing(500),
        runtime=growing(5),
    params:
        merged=MERGED,
    shell:
        "esr1call settings {params.merged:q} --out {output:q} > {log:q} 2>&1"


# Counts of the whole batch, and what blanks show, to calls.
rule call:
    input:
        counts=expand(f"{BATCH}/samples/{{sample}}/counts.tsv", sample=SAMPLES),
        sheet=CONFIG.samples,
        panel=CONFIG.panel,
        reference=CONFIG.reference.path,
        rule=CONFIG.trigger.rule,
        background=CONFIG.background or [],
        # a new file of settings alone is no reason to call again: those that matter are parameters
        config=ancient(SETTINGS),
    output:
        calls=ensure(f"{BATCH}/calls.tsv", non_empty=True),
        qc=f"{BATCH}/qc.json",
        fitted=[] if CONFIG.background else f"{BATCH}/background.json",
        results=expand(f"{BATCH}/samples/{{sample}}/result.json", sample=SAMPLES),
    log:
        f"{LOGS}/call.log",
    benchmark:
        f"{LOGS}/call.benchmark.tsv"
    conda:
        "../envs/aligners.yaml"
    resources:
        mem_mb=growing(2000),
        runtime=growing(60),
    params:
        # not in the command: a change of them calls again
        settings=json.dumps(
            [batch.settings.get(k) for k in ("batch", "background", "calling", "qc")],
            sort_keys=True,
        ),
        folder=subpath(output.calls, parent=True),
    shell:
        "esr1call call --config {input.config:q} --counts-dir {params.folder:q}/samples"
        " --out-dir {params.folder:q} > {log:q} 2>&1"
