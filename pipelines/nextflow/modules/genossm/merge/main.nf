process GENOSSM_MERGE {
    tag "${meta.id}"
    label 'process_low'

    conda "${moduleDir}/environment.yml"
    container "genossm:0.1.0"

    input:
    tuple val(meta), path(parts)

    output:
    tuple val(meta), path("*.h5ad"), emit: merged
    tuple val("${task.process}"), val('genossm'), eval("genossm --version | sed -n '1s/genossm //p'"), topic: versions, emit: versions_genossm

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    genossm merge \\
        ${args} \\
        -o ${prefix}.h5ad \\
        ${parts}
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.h5ad
    """
}
