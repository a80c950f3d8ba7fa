# A rule a chapter, and one for the pages. `fingerprints book` writes the configuration and calls this; on a cluster:
#   fingerprints book --profile full --cores 8 -- --executor slurm --jobs 4 --set-resources zoo:gres=gpu:1
# and for `fingerprints sweep` alike, whose points are jobs of one rule, `sweep`.
# Paths are relative to the profile's build folder. What a rule depends on besides files is a plain value under `params`:
# Snakemake compares it with the last run's, so a changed cell, parameter or library module runs exactly its chapters again.
# Whether files have changed is not left to their dates: outputs that are out of date are removed before this is called.
import os
import shlex
import sys

from fingerprintlib.book.engine import planned
from fingerprintlib.book.memory import PAGES_MADE_OF

jobs, points = planned(config)
python = shlex.quote(sys.executable).replace("{", "{{").replace("}", "}}")  # Snakemake fills in what stands in braces
fingerprints = f"exec {python} -m fingerprintlib.cli"  # in the shell's place: the job's parent is Snakemake


rule all:
    input:
        PAGES_MADE_OF,
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
        threads: config["threads"][job.chapter.name]
        priority: config["priorities"][job.chapter.name]
        resources:
            mem_mb=12000,
            runtime=720,
        shell:
            f"{fingerprints} job {{params.chapter}} --threads {{threads}}"


if points:  # of a sweep: one rule, so that `--set-resources sweep:gres=gpu:1` or `--groups sweep=some` is of them all
    by_folder = {job.folder: job for job in points}
    folder = os.path.dirname(points[0].folder)

    rule sweep:
        input:
            points[0].inputs,
        output:
            [path.replace(points[0].folder, f"{folder}/{{point}}", 1) for path in points[0].outputs.values()],
        params:
            fingerprint=lambda wildcards: by_folder[f"{folder}/{wildcards.point}"].fingerprint,
            chapter=points[0].chapter.name,
        wildcard_constraints:
            point="[^/]+",
        threads: config["threads"][points[0].chapter.name]
        resources:
            mem_mb=12000,
            runtime=720,
        shell:
            f"{fingerprints} job {{params.chapter}} --point {{wildcards.point}} --threads {{threads}}"


rule pages:
    input:
        [path for job in jobs for path in job.outputs.values()],
    output:
        PAGES_MADE_OF,
    params:
        pages=config["pages"],
    resources:
        mem_mb=12000,
        runtime=60,
    shell:
        f"{fingerprints} pages"
