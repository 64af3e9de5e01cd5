# One page with what came out: counts and plots.


rule report:
    input:
        summaries=summaries(),
        tracks=likelihoods_wanted(),
        effects=effects_wanted(),
        classes=classes_wanted(),
        metrics=metrics_wanted(),
        embeddings=embeddings_wanted(),
    output:
        "results/report.html",
    log:
        "logs/report/report.log",
    benchmark:
        "benchmarks/report/report.tsv"
    params:
        title=config["title"],
    threads: 1
    resources:
        mem_mb=1000,
        runtime=30,
        slurm_extra="",
    conda:
        "../envs/python.yaml"
    script:
        "../scripts/report.py"
