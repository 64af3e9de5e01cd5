# A vector for every so many bases of a chromosome: in parts, then as one file.


rule embed_part:
    input:
        genome=lambda wildcards: config["genome"]["fasta"],
    output:
        part=temp("results/embeddings/{contig}.%s.shard-{part}-of-{parts}" % FORMAT),
        summary="results/summary/embed/{contig}.{part}-of-{parts}.json",
    log:
        "logs/embed/{contig}.{part}-of-{parts}.log",
    benchmark:
        "benchmarks/embed/{contig}.{part}-of-{parts}.tsv"
    params:
        program=config["program"],
        whole=lambda wildcards: f"results/embeddings/{wildcards.contig}.{FORMAT}",
        pool="bins:%d" % config["embed"]["bins"],
        layer=config["embed"]["layer"],
        words=words_of("embed"),
    threads: config["resources"]["threads"]
    resources:
        mem_mb=config["resources"]["mem_mb"],
        runtime=config["resources"]["runtime"],
        slurm_extra=config["resources"]["slurm_extra"],
    conda:
        "../envs/genossm.yaml"
    shell:
        "{params.program} embed -f {input.genome:q} -r {wildcards.contig:q} --pool {params.pool} "
        "--layer {params.layer} {params.words} --shard {wildcards.part}/{wildcards.parts} "
        "-@ {threads} --progress plain --summary {output.summary:q} -o {params.whole:q} >{log:q} 2>&1"


rule embed_merge:
    input:
        expand(
            "results/embeddings/{{contig}}.%s.shard-{part}-of-{parts}" % FORMAT,
            part=range(1, PARTS + 1),
            parts=PARTS,
        ),
    output:
        "results/embeddings/{contig}.%s" % FORMAT,
    log:
        "logs/embed_merge/{contig}.log",
    benchmark:
        "benchmarks/embed_merge/{contig}.tsv"
    params:
        program=config["program"],
    threads: 1
    resources:
        mem_mb=config["resources"]["mem_mb"],
        runtime=config["resources"]["runtime"],
        slurm_extra="",
    conda:
        "../envs/genossm.yaml"
    shell:
        "{params.program} merge -o {output:q} {input:q} >{log:q} 2>&1"
