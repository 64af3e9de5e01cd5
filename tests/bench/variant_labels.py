#!/usr/bin/env python3
"""How well the scores of `genossm variants` rank measured variants.

    variant_labels.py SCORED.vcf[.gz] LABELS.tsv [--key GSSM_LLR]

LABELS has columns contig, pos, ref, alt, lof (1 or 0), function_score and consequence, as the
BRCA1 saturation genome editing set. Prints AUROC and AUPRC of the negated score against lof, over all and
over missense variants, and the rank correlation of the score with function_score.
"""
import argparse
import csv
import gzip

import numpy


def ranks(values):
    """Ranks from 1 on, ties shared."""
    values = numpy.asarray(values)
    order = numpy.argsort(values, kind="stable")
    out = numpy.empty(len(values))
    out[order] = numpy.arange(1, len(values) + 1)
    unique, inverse = numpy.unique(values, return_inverse=True)
    sums = numpy.bincount(inverse, out)
    return (sums / numpy.bincount(inverse))[inverse] if len(unique) < len(values) else out


def auroc(score, label):
    positives = label.sum()
    return (ranks(score)[label].sum() - positives * (positives + 1) / 2) / (positives * (~label).sum())


def auprc(score, label):
    """Average precision."""
    hits = label[numpy.argsort(-score, kind="stable")]
    precision = numpy.cumsum(hits) / numpy.arange(1, len(hits) + 1)
    return precision[hits].mean()


def read_scores(path, key):
    out = {}
    with (gzip.open if str(path).endswith(".gz") else open)(path, "rt") as file:
        for line in file:
            if line.startswith("#"):
                continue
            f = line.rstrip("\n").split("\t")
            info = dict(e.split("=", 1) for e in f[7].split(";") if "=" in e)
            for alt, value in zip(f[4].split(","), info.get(key, "").split(",")):
                if value not in (".", ""):
                    out[f[0], f[1], f[3], alt] = float(value)
    return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("scored")
    parser.add_argument("labels")
    parser.add_argument("--key", default="GSSM_LLR")
    options = parser.parse_args()
    scores = read_scores(options.scored, options.key)
    rows = list(csv.DictReader(open(options.labels), delimiter="\t"))
    rows = [r for r in rows if (r["contig"], r["pos"], r["ref"], r["alt"]) in scores]
    score = numpy.array([scores[r["contig"], r["pos"], r["ref"], r["alt"]] for r in rows])
    lof = numpy.array([r["lof"] == "1" for r in rows])
    function = numpy.array([float(r["function_score"]) for r in rows])
    missense = numpy.array([r["consequence"] == "Missense" for r in rows])
    for name, part in (("all", numpy.ones(len(rows), bool)), ("missense", missense)):
        rho = numpy.corrcoef(ranks(score[part]), ranks(function[part]))[0, 1]
        print(f"{name}\tn {part.sum()}\tLOF {lof[part].sum()}\tAUROC {auroc(-score[part], lof[part]):.4f}\t"
              f"AUPRC {auprc(-score[part], lof[part]):.4f}\tSpearman {rho:.4f}")


if __name__ == "__main__":
    main()
