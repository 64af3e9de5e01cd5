#!/usr/bin/env nextflow
// Embeddings and likelihoods of chromosomes, effects of variants, classes of reads. See README.md.
nextflow.enable.dsl = 2

include { GENOSSM_EMBED     } from './modules/genossm/embed/main'
include { GENOSSM_MERGE     } from './modules/genossm/merge/main'
include { GENOSSM_SCORE     } from './modules/genossm/score/main'
include { GENOSSM_VARIANTS  } from './modules/genossm/variants/main'
include { GENOSSM_TRAINHEAD } from './modules/genossm/trainhead/main'
include { GENOSSM_CLASSIFY  } from './modules/genossm/classify/main'

// Chromosomes of one genome: vectors in parts that are merged, and tracks.
workflow CHROMOSOMES {
    take:
    genome  // [ meta, fasta, fai, gzi ]
    contigs // names
    parts   // number

    main:
    whole = genome.combine(contigs).map { meta, fasta, fai, gzi, contig -> [ meta + [ id: contig ], fasta, fai, gzi ] }
    shares = whole.combine(Channel.of(1..parts)).map { meta, fasta, fai, gzi, part ->
        [ meta + [ part: part, parts: parts ], fasta, fai, gzi ]
    }
    GENOSSM_EMBED(shares)
    GENOSSM_MERGE(GENOSSM_EMBED.out.part.map { meta, part -> [ [ id: meta.id ], part ] }.groupTuple(size: parts))
    GENOSSM_SCORE(whole)

    emit:
    embeddings  = GENOSSM_MERGE.out.merged
    likelihoods = GENOSSM_SCORE.out.track
}

workflow {
    if (params.fasta) {
        index = { suffix -> file("${params.fasta}.${suffix}").exists() ? file("${params.fasta}.${suffix}") : [] }
        genome = Channel.of([ [:], file(params.fasta, checkIfExists: true), index('fai'), index('gzi') ])
        CHROMOSOMES(genome, Channel.fromList(params.contigs.tokenize(',')), params.parts as int)
    }
    if (params.vcf) {
        calls = file(params.vcf, checkIfExists: true)
        reference = file(params.reference ?: params.fasta, checkIfExists: true)
        GENOSSM_VARIANTS([ [ id: calls.simpleName ], calls, reference ])
    }
    if (params.reads) {
        reads = Channel.fromPath(params.reads, checkIfExists: true).map { [ [ id: it.baseName ], it ] }
        head = params.head ? Channel.value(file(params.head, checkIfExists: true)) : Channel.value([])
        if (params.train) {
            GENOSSM_TRAINHEAD([ [ id: 'head' ], file(params.train, checkIfExists: true) ])
            head = GENOSSM_TRAINHEAD.out.head.map { meta, file -> file }.first()
        }
        reference = params.reads_reference ? file(params.reads_reference, checkIfExists: true) : []
        GENOSSM_CLASSIFY(reads, head, reference)
    }
}
