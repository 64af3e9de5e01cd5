"""genossm merge as a rule of Snakemake; meta.yaml says what goes in and out."""
import shlex

from snakemake.shell import shell

words = [*snakemake.input]

words = " ".join(map(shlex.quote, map(str, words)))
output = shlex.quote(str(snakemake.output[0]))
extra = snakemake.params.get("extra", "")
log = snakemake.log_fmt_shell(stdout=True, stderr=True)
shell("genossm merge {words} {extra} -o {output} {log}")
