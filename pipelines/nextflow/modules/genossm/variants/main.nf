process GENOSSM_VARIANTS {
    tag "${meta.id}"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "genossm:0.1.0"

    input:
    tuple val(meta), path(vcf), path(fasta)

    output:
    tuple val(meta), path("*.effects.vcf.gz")    , emit: vcf
    tuple val(meta), path("*.effects.vcf.gz.csi"), emit: csi
    tuple val(meta), path("*.json")              , emit: summary
    tuple val("${task.process}"), val('genossm'), eval("genossm --version | sed -n '1s/genossm //p'"), topic: versions, emit: versions_genossm

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    genossm variants \\
        ${vcf} \\
        -f ${fasta} \\
        ${args} \\
        --write-index=csi \\
        --threads ${task.cpus} \\
        --progress plain \\
        --summary ${prefix}.json \\
        -o ${prefix}.effects.vcf.gz
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo | gzip > ${prefix}.effects.vcf.gz
    touch ${prefix}.effects.vcf.gz.csi
    echo '{}' > ${prefix}.json
    """
}
