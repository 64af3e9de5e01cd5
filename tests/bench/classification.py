#!/usr/bin/env python3
"""Trains a head on every labelled set, each in several ways, and makes the table of docs/benchmarks.md.

    classification.py GENOSSM DATA_FOLDER OUTPUT.tsv [--device cuda] [--jobs N] [--threads N] [--sets a,b]

Which way serves is decided by cross-validated log-loss on some rows of the training part; only that one
is then trained on all of it and meets the test part. DATA_FOLDER/SET/{train,test}.tsv.gz, or all_leave_one_out.tsv.gz.
"""
import argparse
import concurrent.futures
import csv
import gzip
import json
import pathlib
import random
import subprocess
import tempfile

# layer, pool, strand, type; S and F stand for numbers of segments that suit the length.
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
    ("1", "segments:F", "fwd", "softmax"),
    ("2", "segments:F", "fwd", "softmax"),
]


def with_segments(pool, length):
    short = length < 60
    return pool.replace("segments:S", f"segments:{14 if short else 16}").replace(
        "segments:F", f"segments:{21 if short else 32}")


class Set:
    """A labelled set; `chosen_on`: rows of its training part on which the way is decided."""

    def __init__(self, folder, scratch, chosen_on):
        self.name = folder.name
        self.loo = (folder / "all_leave_one_out.tsv.gz").exists()
        self.train = folder / ("all_leave_one_out.tsv.gz" if self.loo else "train.tsv.gz")
        self.test = None if self.loo else folder / "test.tsv.gz"
        with gzip.open(self.train, "rt") as file:
            header, *rows = file.read().splitlines()
        column = header.split("\t").index("sequence")
        self.length = max(len(row.split("\t")[column]) for row in rows)
        random.Random(1).shuffle(rows)
        # The few rows beside those are there because a fit without a test part is evaluated too.
        cut = min(chosen_on, len(rows) * 9 // 10)
        self.some, self.others = scratch / f"{self.name}.tsv", scratch / f"{self.name}.others.tsv"
        self.some.write_text("\n".join([header, *rows[:cut]]) + "\n")
        self.others.write_text("\n".join([header, *rows[cut:cut + 200]]) + "\n")


def train(options, data, way, scratch, final):
    layer, pool, strand, kind = way
    pool = with_segments(pool, data.length)
    metrics = scratch / f"{data.name}.{layer}.{pool}.{strand}.{kind}.{final}.json"
    words = [options.genossm, "train-head", "--layer", layer, "--pool", pool, "--strand", strand,
             "--type", kind, "--metrics", metrics, "--no-cache", "-q", "--force", "-@", options.threads,
             "--device", options.device, "--precision", options.precision]
    if not final:
        words += ["--train", data.some, "--test", data.others, "--resamples", "0"]
    else:
        words += ["--train", data.train, *(["--cv", "loo"] if data.loo else ["--test", data.test])]
    if kind == "mlp":
        words += ["--l2", "1,10,100,1000"]
    done = subprocess.run([str(word) for word in words], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{data.name} {way}: {done.stderr}")
    result = json.loads(metrics.read_text())
    loss = min(x for x in result["fit"]["cross_validated_loss"] if x is not None)
    print(f"{data.name}\t{' '.join(way)}\t{'final' if final else 'tried'}\t{loss:.4f}", flush=True)
    return loss, way, result


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
    parser.add_argument("--choose-on", type=int, default=3000, help="training rows")
    options = parser.parse_args()
    names = options.sets.split(",") if options.sets else sorted(
        path.name for path in options.data.iterdir() if path.is_dir())
    ways = [WAYS[int(i)] for i in options.ways.split(",")] if options.ways else WAYS
    with tempfile.TemporaryDirectory() as folder, \
            concurrent.futures.ThreadPoolExecutor(options.jobs) as pool, \
            open(options.output, "w", newline="") as out:
        scratch = pathlib.Path(folder)
        table = csv.writer(out, delimiter="\t", lineterminator="\n")
        table.writerow(["set", "layer", "pool", "strand", "type", "columns", "l2", "cv_log_loss",
                        "test_records", "accuracy", "accuracy_low", "accuracy_high", "mcc", "auroc",
                        "seconds_embedding", "seconds_fitting"])
        sets = [Set(options.data / name, scratch, options.choose_on) for name in names]
        tried = {data.name: [pool.submit(train, options, data, way, scratch, False)
                             for way in ways if len(ways) > 1] for data in sets}
        finals = []
        for data in sets:
            way = ways[0]
            if len(ways) > 1:
                way = min((job.result() for job in tried[data.name]), key=lambda row: row[0])[1]
            finals.append((data, pool.submit(train, options, data, way, scratch, True)))
        data_of = {job: data for data, job in finals}
        for job in concurrent.futures.as_completed(data_of):
            data = data_of[job]
            loss, way, result = job.result()
            figures, fit, seconds = result["figures"], result["fit"], result["seconds"]
            table.writerow([data.name, *way, fit["columns"], fit["l2"], f"{loss:.4f}", figures["records"],
                            *(f"{figures['accuracy'][key]:.4f}" for key in ("value", "low", "high")),
                            f"{figures['mcc']['value']:.4f}", f"{figures['auroc']['value']:.4f}",
                            f"{seconds['embedding']:.1f}", f"{seconds['fitting']:.1f}"])
            out.flush()


if __name__ == "__main__":
    main()
