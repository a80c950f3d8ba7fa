# A rule a chapter, and one for the pages. `fingerprints book` writes the configuration and calls this; on a cluster:
#   fingerprints book --profile full --cores 8 -- --executor slurm --jobs 4 --set-resources zoo:gres=gpu:1
# Paths are relative to the profile's build folder. What a rule depends on besides files is a plain value under `params`:
# Snakemake compares it with the last run's, so a changed cell, parameter or library module runs exactly its chapters again.
import shlex
import sys

from fingerprintlib.engine import snakemake_plan

jobs, pages = snakemake_plan(config)
fingerprints = f"{shlex.quote(sys.executable)} -m fingerprintlib.cli"


rule all:
    input:
        "html/index.html",
        [path for job in jobs for path in job.outputs.values()],


for job in jobs:

    rule:
        name:
            job.chapter.name
        input:
            job.inputs,
        output:
            list(job.outputs.values()),
        params:
            fingerprint=job.fingerprint,
            chapter=job.chapter.name,
        threads: config["threads"]
        resources:
            mem_mb=6000,
            runtime=720,
        shell:
            f"{fingerprints} job {{params.chapter}} --threads {{threads}}"


rule pages:
    input:
        [path for job in jobs for path in job.outputs.values()],
    output:
        "html/index.html",
    params:
        pages=pages,
    shell:
        f"{fingerprints} pages"
