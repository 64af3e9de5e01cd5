# How likely the model finds every base of a chromosome, for a genome browser.


rule score:
    input:
        genome=lambda wildcards: config["genome"]["fasta"],
    output:
        track="results/likelihoods/{contig}.bw",
        summary="results/summary/score/{contig}.json",
    log:
        "logs/score/{contig}.log",
    benchmark:
        "benchmarks/score/{contig}.tsv"
    params:
        program=config["program"],
        track=config["score"]["track"],
        words=words_of("score"),
    threads: config["resources"]["threads"]
    resources:
        mem_mb=config["resources"]["mem_mb"],
        runtime=config["resources"]["runtime"],
        slurm_extra=config["resources"]["slurm_extra"],
    conda:
        "../envs/genossm.yaml"
    shell:
        "{params.program} score -f {input.genome:q} -r {wildcards.contig:q} --track {params.track} "
        "{params.words} -@ {threads} --progress plain --summary {output.summary:q} "
        "-o {output.track:q} >{log:q} 2>&1"
