#!/usr/bin/env python3
"""Reads every include and refuses those that the layer table (docs/architecture.md) forbids.

    check_layers.py ROOT         prints each offending line; exit 1 if there is one
    check_layers.py --self-test  checks that the rules themselves catch breaches
"""
import pathlib
import re
import sys

# Folder prefix -> row. The longest prefix that fits a file wins. A file may include its own folder
# and lower rows.
ROWS = [
    ("kernels/core/", 0),
    ("kernels/", 1),
    ("libgenossm/base/", 2),
    ("libgenossm/checkpoint/", 3),
    ("libgenossm/tokenizer/", 3),
    ("libgenossm/io/", 3),
    ("libgenossm/model/spec.h", 3.5),
    ("libgenossm/model/families/", 5),
    ("libgenossm/model/", 4),
    ("libgenossm/runtime/", 6),
    ("libgenossm/tasks/", 7),
    ("libgenossm/output/", 7),
    ("libgenossm/jobs/", 8),
    ("apps/", 9),
]

# Pairs that the rows alone would allow or forbid wrongly.
ALLOWED = [("libgenossm/model/families/", "libgenossm/checkpoint/binder.h")]
FORBIDDEN = [
    ("libgenossm/model/families/", "kernels/", "a family never sees an op"),
    ("libgenossm/tasks/", "libgenossm/io/", "a task never sees a file"),
    ("libgenossm/output/", "libgenossm/runtime/", "output knows rows, not models"),
    ("libgenossm/base/", "kernels/selective_scan/", "base stands below the ops"),
]

# Third-party headers and the folders that may name them.
THIRD_PARTY = [
    (re.compile(r"^htslib/"), ["libgenossm/io/", "libgenossm/output/"]),
    (re.compile(r"^(dnnl|oneapi/dnnl)"), ["kernels/matmul/"]),
    (re.compile(r"^hwy/"), ["kernels/"]),
    (re.compile(r"^tbb/"), ["kernels/core/"]),
    (re.compile(r"^CLI/"), ["apps/"]),
    (re.compile(r"^nlohmann/"), ["libgenossm/base/", "libgenossm/output/"]),
    (re.compile(r"^Eigen/"), ["libgenossm/tasks/"]),
    (re.compile(r"^zlib\.h"), ["libgenossm/base/", "libgenossm/io/", "libgenossm/output/"]),
    (re.compile(r"^omp\.h"), ["kernels/matmul/"]),
    (re.compile(r"^(hdf5|bigWig|blosc)\.h"), ["libgenossm/output/"]),
]

# apps print the versions of what they are linked with, and nothing else of it.
THIRD_PARTY_EXCEPTIONS = [("apps/main.cc", None), ("apps/version.cc", None), ("apps/build_facts.cc", None)]

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')


def row_of(path):
    best = None
    for prefix, row in ROWS:
        if path.startswith(prefix) and (best is None or len(prefix) > len(best[0])):
            best = (prefix, row)
    return best


def breach(path, bracket, target):
    """Why `path` may not include `target`, or None."""
    mine = row_of(path)
    if mine is None:
        return None
    theirs = row_of(target)
    if theirs is not None:
        for source, allowed in ALLOWED:
            if path.startswith(source) and target.startswith(allowed):
                return None
        for source, forbidden, why in FORBIDDEN:
            exempt = target.startswith("kernels/core/")
            if path.startswith(source) and target.startswith(forbidden) and not exempt:
                return why
        folder = str(pathlib.PurePosixPath(path).parent)
        same_folder = str(pathlib.PurePosixPath(target).parent) == folder
        same_row_tree = mine[0] == theirs[0] and mine[0] != "kernels/"
        if not (same_folder or same_row_tree or theirs[1] < mine[1]):
            return f"row {mine[1]} may not include row {theirs[1]}"
        return None
    for pattern, folders in THIRD_PARTY:
        if pattern.search(target) and not any(path.startswith(f) for f in folders):
            if any(path == exception for exception, _ in THIRD_PARTY_EXCEPTIONS):
                return None
            return "third-party header of another layer"
    return None


def check(root):
    bad = 0
    for folder in ("kernels", "libgenossm", "apps"):
        for file in sorted((root / folder).rglob("*")):
            if file.suffix not in (".h", ".cc", ".cu", ".cuh"):
                continue
            path = file.relative_to(root).as_posix()
            for number, line in enumerate(file.read_text().splitlines(), 1):
                match = INCLUDE.match(line)
                if match and (why := breach(path, *match.groups())):
                    print(f"{path}:{number}: {line.strip()}: {why}")
                    bad += 1
    return bad


def self_test():
    forbidden = [
        ("kernels/norm/cpu.cc", '"', "kernels/ssd/ssd.h"),
        ("kernels/core/view.h", '"', "libgenossm/base/json.h"),
        ("libgenossm/model/families/mamba.cc", '"', "kernels/norm/norm.h"),
        ("libgenossm/model/block.cc", '"', "libgenossm/runtime/lane.h"),
        ("libgenossm/tasks/pooling.cc", '"', "libgenossm/io/reader.h"),
        ("libgenossm/jobs/embed.cc", "<", "htslib/hts.h"),
        ("libgenossm/runtime/lane.cc", "<", "dnnl.hpp"),
        ("libgenossm/runtime/lane.cc", '"', "apps/progress.h"),
    ]
    allowed = [
        ("kernels/norm/cpu.cc", '"', "kernels/core/view.h"),
        ("libgenossm/model/block.cc", '"', "kernels/norm/norm.h"),
        ("libgenossm/model/families/mamba.cc", '"', "libgenossm/model/spec.h"),
        ("libgenossm/jobs/embed.cc", '"', "libgenossm/io/reader.h"),
        ("libgenossm/io/reader.cc", "<", "htslib/sam.h"),
        ("apps/embed.cc", "<", "CLI/CLI.hpp"),
    ]
    wrong = [case for case in forbidden if breach(*case) is None]
    wrong += [case for case in allowed if breach(*case) is not None]
    for case in wrong:
        print("wrong verdict on", case)
    return len(wrong)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(1 if (self_test() if sys.argv[1] == "--self-test" else check(pathlib.Path(sys.argv[1]))) else 0)
