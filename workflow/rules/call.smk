# The ledger is opened only where Snakemake runs: SQLite wants all its users on one machine.
rule earlier:
    input:
        CONFIG.samples,
    output:
        ensure(f"{BATCH}/earlier.json", non_empty=True),
    log:
        f"{LOGS}/earlier.log",
    benchmark:
        f"{LOGS}/earlier.benchmark.tsv"
    conda:
        "../envs/aligners.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(10),
    params:
        config=SETTINGS,
        ledger=CONFIG.trigger.ledger,
        study=CONFIG.study,
    shell:
        "esr1call earlier --config {params.config:q} --out {output:q} > {log:q} 2>&1"


# Counts of the whole batch, and what blanks show, to calls; and what quality control allows to be reported of them.
rule call:
    input:
        counts=expand(f"{BATCH}/samples/{{sample}}/counts.tsv", sample=SAMPLES),
        stats=expand(f"{BATCH}/samples/{{sample}}/counts.json", sample=SAMPLES),
        molecules=expand(f"{BATCH}/samples/{{sample}}/molecules.npz", sample=SAMPLES),
        sheet=CONFIG.samples,
        panel=CONFIG.panel,
        reference=CONFIG.reference.path,
        rule=CONFIG.trigger.rule,
        background=CONFIG.background or [],
        snps=CONFIG.qc.snps or [],
        earlier=f"{BATCH}/earlier.json",
    output:
        # samples/<sample>/result.json is written too, before calls.tsv, and not listed: Snakemake keeps a list of all
        # inputs for each output, which for 1,000 samples comes to half a gigabyte and minutes
        calls=ensure(f"{BATCH}/calls.tsv", non_empty=True),
        qc=f"{BATCH}/qc.json",
        checks=f"{BATCH}/qc.tsv",
        fitted=[] if CONFIG.background else f"{BATCH}/background.json",
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
        content=content_of(
            CONFIG.samples,
            CONFIG.panel,
            CONFIG.trigger.rule,
            CONFIG.background,
            CONFIG.qc.snps,
        ),
        folder=subpath(output.calls, parent=True),
        config=SETTINGS,
        inputs=INPUTS,
    shell:
        "esr1call call --config {params.config:q} --inputs {params.inputs:q} --counts-dir {params.folder:q}/samples"
        " --out-dir {params.folder:q} --earlier {input.earlier:q} > {log:q} 2>&1"
