process GENOSSM_EMBED {
    tag "${meta.id}"
    label 'process_high'

    conda "${moduleDir}/environment.yml"
    container "genossm:0.1.0"

    input:
    tuple val(meta), path(fasta), path(fai), path(gzi)

    output:
    tuple val(meta), path("*.h5ad.shard-*"), emit: part
    tuple val(meta), path("*.json")        , emit: summary
    tuple val("${task.process}"), val('genossm'), eval("genossm --version | sed -n '1s/genossm //p'"), topic: versions, emit: versions_genossm

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: '--pool bins:128'
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    genossm embed \\
        -f ${fasta} \\
        -r ${meta.id} \\
        ${args} \\
        --shard ${meta.part}/${meta.parts} \\
        --threads ${task.cpus} \\
        --progress plain \\
        --summary ${prefix}.${meta.part}.json \\
        -o ${prefix}.h5ad
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.h5ad.shard-${meta.part}-of-${meta.parts}
    echo '{}' > ${prefix}.${meta.part}.json
    """
}
