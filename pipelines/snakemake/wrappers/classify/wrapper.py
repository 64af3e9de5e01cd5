"""genossm classify as a rule of Snakemake; meta.yaml says what goes in and out."""
import shlex

from snakemake.shell import shell

words = [snakemake.input.sequences]
for name, option in (("head", "--head"), ("reference", "-f"), ("model", "-m")):
    if snakemake.input.get(name):
        words += [option, snakemake.input.get(name)]
if snakemake.output.get("summary"):
    words += ["--summary", snakemake.output.summary]

words = " ".join(map(shlex.quote, map(str, words)))
output = shlex.quote(str(snakemake.output[0]))
extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)
shell("genossm classify {words} {extra} -@ {snakemake.threads} --progress plain -o {output} {log}")
