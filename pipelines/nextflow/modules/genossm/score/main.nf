process GENOSSM_SCORE {
    tag "${meta.id}"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "genossm:0.1.0"

    input:
    tuple val(meta), path(fasta), path(fai), path(gzi)

    output:
    tuple val(meta), path("*.bw")  , emit: track
    tuple val(meta), path("*.json"), emit: summary
    tuple val("${task.process}"), val('genossm'), eval("genossm --version | sed -n '1s/genossm //p'"), topic: versions, emit: versions_genossm

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    genossm score \\
        -f ${fasta} \\
        -r ${meta.id} \\
        ${args} \\
        --threads ${task.cpus} \\
        --progress plain \\
        --summary ${prefix}.json \\
        -o ${prefix}.bw
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.bw
    echo '{}' > ${prefix}.json
    """
}
