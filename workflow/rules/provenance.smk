# What a run rests on: the only result that carries a time and a machine.
rule provenance:
    input:
        [str(file) for file in input_files(batch)],
    output:
        # what it holds of unchanged files is not read again
        update(f"{BATCH}/provenance.json"),
    log:
        f"{LOGS}/provenance.log",
    benchmark:
        f"{LOGS}/provenance.benchmark.tsv"
    conda:
        "../envs/aligners.yaml"
    resources:
        mem_mb=growing(1000),
        runtime=growing(240),
    params:
        # not in the command: a change of them writes it anew
        settings=json.dumps(batch.settings, sort_keys=True),
        version=esr1call.__version__,
        config=SETTINGS,
        inputs=INPUTS,
    shell:
        "esr1call provenance --config {params.config:q} --inputs {params.inputs:q} --out {output:q} > {log:q} 2>&1"
