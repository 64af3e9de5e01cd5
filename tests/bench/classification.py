#!/usr/bin/env python3
"""Trains a head on every labelled set, each in several ways, and makes the table of docs/benchmarks.md.

    classification.py GENOSSM DATA_FOLDER OUTPUT.tsv [--device cuda] [--jobs N] [--threads N] [--sets a,b]

Which way serves is decided by cross-validated log-loss on the training part alone; the figures of the
test part are taken from that one. DATA_FOLDER/SET/{train,test}.tsv.gz, or all_leave_one_out.tsv.gz.
"""
import argparse
import concurrent.futures
import csv
import json
import pathlib
import subprocess
import tempfile

# layer, pool, strand, type; S stands for the number of segments that suits the length.
WAYS = [
    ("last", "mean", "avg", "softmax"),
    ("last", "mean+max", "both", "softmax"),
    ("4,last", "mean+max", "both", "softmax"),
    ("2,4,6", "mean+max", "both", "softmax"),
    ("4", "segments:S", "fwd", "softmax"),
    ("6", "mean+segments:S", "fwd", "softmax"),
    ("last", "max+segments:S", "fwd", "softmax"),
    ("2,4,6,last", "center:1+center:8", "both", "softmax"),
    ("4,last", "mean+max", "both", "mlp"),
]


def segments(length):
    return 14 if length < 60 else 16


def run(options, folder, name, way, scratch):
    layer, pool, strand, kind = way
    source = folder / name
    loo = (source / "all_leave_one_out.tsv.gz").exists()
    train = source / ("all_leave_one_out.tsv.gz" if loo else "train.tsv.gz")
    length = 57 if loo else 0
    if not loo:
        import gzip
        with gzip.open(train, "rt") as file:
            column = file.readline().rstrip("\n").split("\t").index("sequence")
            length = max(len(line.split("\t")[column].strip()) for line in file)
    pool = pool.replace("segments:S", f"segments:{segments(length)}")
    metrics = scratch / f"{name}.{layer}.{pool}.{strand}.{kind}.json"
    words = [options.genossm, "train-head", "--train", train, "--layer", layer, "--pool", pool,
             "--strand", strand, "--type", kind, "--metrics", metrics, "--no-cache", "-q", "--force",
             "-@", options.threads, "--device", options.device, "--precision", options.precision]
    words += ["--cv", "loo"] if loo else ["--test", source / "test.tsv.gz"]
    if kind == "mlp":
        words += ["--l2", "1,10,100,1000"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{name} {way}: {done.stderr}")
    result = json.loads(metrics.read_text())
    return name, (layer, pool, strand, kind), result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("genossm")
    parser.add_argument("data", type=pathlib.Path)
    parser.add_argument("output")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--sets")
    parser.add_argument("--ways", help="numbers of WAYS, comma-separated")
    options = parser.parse_args()
    names = options.sets.split(",") if options.sets else sorted(
        path.name for path in options.data.iterdir() if path.is_dir())
    ways = [WAYS[int(i)] for i in options.ways.split(",")] if options.ways else WAYS
    rows = {}
    with tempfile.TemporaryDirectory() as scratch, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as pool, \
            open(options.output, "w", newline="") as out:
        table = csv.writer(out, delimiter="\t", lineterminator="\n")
        table.writerow(["set", "layer", "pool", "strand", "type", "columns", "l2", "cv_log_loss", "chosen",
                        "test_records", "accuracy", "accuracy_low", "accuracy_high", "mcc", "auroc",
                        "seconds_embedding", "seconds_fitting"])
        jobs = [pool.submit(run, options, options.data, name, way, pathlib.Path(scratch))
                for way in ways for name in names]
        for job in concurrent.futures.as_completed(jobs):
            name, way, result = job.result()
            rows.setdefault(name, []).append((min(result["fit"]["cross_validated_loss"]), way, result))
            print(name, way, rows[name][-1][0], flush=True)
        for name in names:
            best = min(rows[name], key=lambda row: row[0])
            for row in sorted(rows[name], key=lambda row: row[0]):
                loss, way, result = row
                figures, fit, seconds = result["figures"], result["fit"], result["seconds"]
                table.writerow([name, *way, fit["columns"], fit["l2"], f"{loss:.4f}",
                                "yes" if row is best else "no", figures["records"],
                                *(f"{figures['accuracy'][key]:.4f}" for key in ("value", "low", "high")),
                                f"{figures['mcc']['value']:.4f}", f"{figures['auroc']['value']:.4f}",
                                f"{seconds['embedding']:.1f}", f"{seconds['fitting']:.1f}"])


if __name__ == "__main__":
    main()
