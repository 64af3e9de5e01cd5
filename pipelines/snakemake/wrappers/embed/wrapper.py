"""genossm embed as a rule of Snakemake; meta.yaml says what goes in and out."""
import shlex

from snakemake.shell import shell

sequences = snakemake.input.get("sequences", "")
words = [*([sequences] if isinstance(sequences, str) and sequences else sequences)]
for name, option in (("reference", "-f"), ("regions", "-R"), ("model", "-m")):
    if snakemake.input.get(name):
        words += [option, snakemake.input.get(name)]
if snakemake.output.get("summary"):
    words += ["--summary", snakemake.output.summary]

words = " ".join(map(shlex.quote, map(str, words)))
output = shlex.quote(str(snakemake.output[0]))
extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)
shell("genossm embed {words} {extra} -@ {snakemake.threads} --progress plain -o {output} {log}")
