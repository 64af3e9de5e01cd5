process GENOSSM_TRAINHEAD {
    tag "${meta.id}"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "genossm:0.1.0"

    input:
    tuple val(meta), path(train)

    output:
    tuple val(meta), path("*.safetensors") , emit: head
    tuple val(meta), path("*.metrics.json"), emit: metrics
    tuple val("${task.process}"), val('genossm'), eval("genossm --version | sed -n '1s/genossm //p'"), topic: versions, emit: versions_genossm

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    genossm train-head \\
        --train ${train} \\
        ${args} \\
        --no-cache \\
        --threads ${task.cpus} \\
        --metrics ${prefix}.metrics.json \\
        -o ${prefix}.safetensors
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.safetensors
    echo '{}' > ${prefix}.metrics.json
    """
}
