"""report.html from the summaries and results of a run: tables and plots, one file without scripts or links.

Python's standard library only. Times are left out, so that the same results give the same page; they stand in
benchmarks/.
"""
import gzip
import json
import os
import sys
from collections import Counter
from html import escape

sys.path.insert(0, os.path.dirname(os.path.realpath(__file__)))

import bigwig  # noqa: E402
import svg  # noqa: E402

STYLE = """body{font-family:sans-serif;max-width:52em;margin:2em auto;padding:0 1em;color:#222;line-height:1.45}
table{border-collapse:collapse;margin:.6em 0}td,th{padding:.2em .8em .2em 0;text-align:left;border-bottom:1px solid #ddd}
td.n{text-align:right}h2{margin-top:2em}svg{max-width:100%;height:auto}p.of{color:#666;font-size:.9em}"""


def name_of(path, ending):
    return os.path.basename(path)[: -len(ending)]


def cell(value):
    if isinstance(value, int):
        return f'<td class="n">{value:,}</td>'
    return f"<td>{escape(str(value))}</td>"


def table(header, rows):
    head = "".join(f"<th>{escape(word)}</th>" for word in header)
    return f"<table><tr>{head}</tr>" + "".join(
        "<tr>" + "".join(map(cell, row)) + "</tr>" for row in rows) + "</table>"


def read_summaries(paths):
    """[(command, name, summary), ...]"""
    found = []
    for path in paths:
        with open(path) as file:
            found.append((os.path.basename(os.path.dirname(path)), name_of(path, ".json"), json.load(file)))
    return found


def runs(summaries):
    rows = []
    for command, name, run in summaries:
        unit = "bases" if "bases" in run else "alleles"
        skipped = ", ".join(f"{reason}: {n:,}" for reason, n in run["skipped"].items() if n) or "none"
        rows.append((command, name, run["records"], f"{run[unit]:,} {unit}", skipped, run["model"]))
    return table(("command", "of", "records", "computed", "skipped", "model"), rows)


def likelihoods(tracks):
    out = []
    for path in tracks:
        rows = bigwig.overview(path)
        if not rows:
            out.append(f"<p>{escape(path)}: too short for an overview.</p>")
            continue
        bases, mean = bigwig.totals(path)
        contig = rows[0][0]
        out.append(f"<h3>{escape(contig)}</h3><p>Mean {mean:.4f} over {bases:,} bases. Line: mean of each stretch; "
                   "band: lowest to highest base in it.</p>" + svg.band([row[1:] for row in rows], contig))
    return "".join(out)


def info_values(path, key):
    """The values of an INFO field, one an allele, as they are written."""
    with gzip.open(path, "rt") as file:
        for line in file:
            if line.startswith("#"):
                continue
            for entry in line.rstrip("\n").split("\t")[7].split(";"):
                if entry.startswith(key + "="):
                    yield from entry[len(key) + 1:].split(",")


def effects(paths):
    out = []
    for path in paths:
        name = name_of(path, ".vcf.gz")
        scores = [float(value) for value in info_values(path, "GSSM_LLR") if value != "."]
        states = Counter(info_values(path, "GSSM_STATUS"))
        out.append(f"<h3>{escape(name)}</h3>" + table(("status", "alleles"), sorted(states.items())))
        if scores:
            out.append(svg.histogram(scores, "GSSM_LLR: negative where ALT is less likely than REF"))
        else:
            out.append("<p>No allele has a GSSM_LLR.</p>")
    return "".join(out)


def classes(paths):
    out = []
    for path in paths:
        with gzip.open(path, "rt") as file:
            lines = (line.rstrip("\n").split("\t") for line in file if not line.startswith("##"))
            column = next(lines).index("class")
            counts = Counter(row[column] for row in lines)
        out.append(f"<h3>{escape(name_of(path, '.tsv.gz'))}</h3>")
        out.append(svg.bars(counts, "sequences of each class") if counts else "<p>No sequences.</p>")
    return "".join(out)


def head(paths):
    out = []
    for path in paths:
        with open(path) as file:
            metrics = json.load(file)
        figures = metrics["figures"]
        rows = [(key.replace("_", " "), f"{value['value']:.4f}", f"{value['low']:.4f} to {value['high']:.4f}")
                for key, value in figures.items()
                if isinstance(value, dict) and value.get("value") is not None and value.get("low") is not None]
        out.append(f"<p>{escape(metrics['evaluation'])}, {figures['records']:,} records.</p>"
                   + table(("figure", "value", "95 % interval"), rows))
        if "confusion" in figures:
            labels = [entry["class"] for entry in figures["by_class"]]
            out.append(svg.matrix(labels, figures["confusion"]))
    return "".join(out)


def page(title, summaries, tracks, calls, tables, metrics, embeddings):
    found = read_summaries(summaries)
    sections = [("Runs", runs(found))]
    if embeddings:
        sections.append(("Embeddings", table(("file", "bytes"), [(path, os.path.getsize(path)) for path in embeddings])))
    if tracks:
        sections.append(("Likelihoods", likelihoods(tracks)))
    if calls:
        sections.append(("Effects of variants", effects(calls)))
    if metrics:
        sections.append(("The head", head(metrics)))
    if tables:
        sections.append(("Classes of reads", classes(tables)))
    versions = sorted({run["version"] for _, _, run in found})
    return (f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
            f"<style>{STYLE}</style></head><body><h1>{escape(title)}</h1>"
            f'<p class="of">genossm {escape(", ".join(versions))}</p>'
            + "".join(f"<h2>{escape(name)}</h2>{body}" for name, body in sections) + "</body></html>\n")


def main(job):
    text = page(job.params.title, job.input.summaries, job.input.tracks, job.input.effects, job.input.classes,
                job.input.metrics, job.input.embeddings)
    with open(job.output[0], "w") as file:
        file.write(text)


if "snakemake" in globals():
    with open(snakemake.log[0], "w") as log:  # noqa: F821
        sys.stderr = log
        main(snakemake)  # noqa: F821
