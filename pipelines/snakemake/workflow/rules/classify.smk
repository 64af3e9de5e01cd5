# A head trained on labelled sequences, and the class of every read by it.


rule train_head:
    input:
        train=lambda wildcards: config["head"]["train"],
    output:
        head="results/head/head.safetensors",
        metrics="results/head/metrics.json",
    log:
        "logs/train_head/head.log",
    benchmark:
        "benchmarks/train_head/head.tsv"
    params:
        program=config["program"],
        words=words_of("head"),
    threads: config["resources"]["threads"]
    resources:
        mem_mb=config["resources"]["mem_mb"],
        runtime=config["resources"]["runtime"],
        slurm_extra=config["resources"]["slurm_extra"],
    conda:
        "../envs/genossm.yaml"
    shell:
        "{params.program} train-head --train {input.train:q} {params.words} --no-cache -@ {threads} "
        "--metrics {output.metrics:q} -o {output.head:q} >{log:q} 2>&1"


rule classify:
    input:
        reads=lambda wildcards: config["reads"][wildcards.name]["file"],
        reference=lambda wildcards: optional_file(config["reads"][wildcards.name].get("reference")),
        head=head_wanted(),
    output:
        classes="results/classes/{name}.tsv.gz",
        summary="results/summary/classify/{name}.json",
    log:
        "logs/classify/{name}.log",
    benchmark:
        "benchmarks/classify/{name}.tsv"
    params:
        program=config["program"],
        reference=lambda wildcards, input: option("-f", input.reference),
        words=words_of("classify"),
    threads: config["resources"]["threads"]
    resources:
        mem_mb=config["resources"]["mem_mb"],
        runtime=config["resources"]["runtime"],
        slurm_extra=config["resources"]["slurm_extra"],
    conda:
        "../envs/genossm.yaml"
    shell:
        "{params.program} classify --head {input.head:q} {input.reads:q} {params.reference} "
        "{params.words} -@ {threads} --progress plain --summary {output.summary:q} "
        "-o {output.classes:q} >{log:q} 2>&1"
