process GENOSSM_CLASSIFY {
    tag "${meta.id}"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    container "genossm:0.1.0"

    input:
    tuple val(meta), path(sequences)
    path head
    path fasta

    output:
    tuple val(meta), path("*.tsv.gz"), emit: classes
    tuple val(meta), path("*.json")  , emit: summary
    tuple val("${task.process}"), val('genossm'), eval("genossm --version | sed -n '1s/genossm //p'"), topic: versions, emit: versions_genossm

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def prefix = task.ext.prefix ?: "${meta.id}"
    def with_head = head ? "--head ${head}" : ''
    def with_fasta = fasta ? "-f ${fasta}" : ''
    """
    genossm classify \\
        ${sequences} \\
        ${with_head} \\
        ${with_fasta} \\
        ${args} \\
        --threads ${task.cpus} \\
        --progress plain \\
        --summary ${prefix}.json \\
        -o ${prefix}.tsv.gz
    """

    stub:
    def prefix = task.ext.prefix ?: "${meta.id}"
    """
    echo | gzip > ${prefix}.tsv.gz
    echo '{}' > ${prefix}.json
    """
}
