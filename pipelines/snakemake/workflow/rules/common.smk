# What the configuration asks for, and the words that rules have in common. No rules here.
from snakemake.utils import validate

validate(config, "../schemas/config.schema.json")


wildcard_constraints:
    contig="[^/][^/]*",
    part="[0-9][0-9]*",
    parts="[0-9][0-9]*",
    name="[^/][^/]*",


CONTIGS = config["genome"]["contigs"] if "genome" in config else []
PARTS = config["embed"]["parts"]
FORMAT = config["embed"]["format"]


def embeddings_wanted():
    return [f"results/embeddings/{contig}.{FORMAT}" for contig in CONTIGS]


def likelihoods_wanted():
    return [f"results/likelihoods/{contig}.bw" for contig in CONTIGS]


def effects_wanted():
    return [f"results/effects/{name}.vcf.gz" for name in config["variants"]]


def classes_wanted():
    return [f"results/classes/{name}.tsv.gz" for name in config["reads"]]


def results():
    return embeddings_wanted() + likelihoods_wanted() + effects_wanted() + classes_wanted()


def summaries():
    """The counts of every run, which the report reads."""
    parts = [f"{part}-of-{PARTS}" for part in range(1, PARTS + 1)]
    return (
        [f"results/summary/embed/{contig}.{part}.json" for contig in CONTIGS for part in parts]
        + [f"results/summary/score/{contig}.json" for contig in CONTIGS]
        + [f"results/summary/variants/{name}.json" for name in config["variants"]]
        + [f"results/summary/classify/{name}.json" for name in config["reads"]]
    )


def head_wanted():
    """The head that classifies: the one named, or the one that is trained here."""
    return config["head"].get("file") or "results/head/head.safetensors"


def metrics_wanted():
    return ["results/head/metrics.json"] if config["reads"] and not config["head"].get("file") else []


def option(name, value):
    """NAME VALUE as words of a command, or nothing where there is no value."""
    return f"{name} {value}" if value else ""


def optional_file(path):
    return [path] if path else []


def words_of(command):
    """The model, the device and what the configuration adds to a command."""
    section = config[command]
    return " ".join(
        filter(
            None,
            [option("-m", section["model"]), option("--device", config["device"]), section["extra"]],
        )
    )
