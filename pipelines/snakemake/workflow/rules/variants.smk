# The effect of every allele of a VCF: the same VCF, with INFO fields.


rule variants:
    input:
        calls=lambda wildcards: config["variants"][wildcards.name]["vcf"],
        reference=lambda wildcards: config["variants"][wildcards.name]["reference"],
    output:
        calls="results/effects/{name}.vcf.gz",
        index="results/effects/{name}.vcf.gz.csi",
        summary="results/summary/variants/{name}.json",
    log:
        "logs/variants/{name}.log",
    benchmark:
        "benchmarks/variants/{name}.tsv"
    params:
        program=config["program"],
        words=words_of("variants_options"),
    threads: config["resources"]["threads"]
    resources:
        mem_mb=config["resources"]["mem_mb"],
        runtime=config["resources"]["runtime"],
        slurm_extra=config["resources"]["slurm_extra"],
    conda:
        "../envs/genossm.yaml"
    shell:
        "{params.program} variants {input.calls:q} -f {input.reference:q} {params.words} -W=csi "
        "-@ {threads} --progress plain --summary {output.summary:q} -o {output.calls:q} >{log:q} 2>&1"
