#!/usr/bin/env bash
# tools/slurm_test.sh PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]
#   GPUS (8)  GPUS_PER_NODE (8)  CPUS_PER_TASK (5)  SRUN_ARGS  further options of srun
set -euo pipefail

if [ $# -lt 4 ]; then
    echo "usage: $0 PARTITION JOB_NAME CONFIG CHECKPOINT [options of tools/test.py]" >&2
    exit 2
fi
PARTITION=$1
JOB_NAME=$2
shift 2

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-python}
if [ -x "$ROOT/.venv/bin/python" ]; then PYTHON=$ROOT/.venv/bin/python; fi
GPUS=${GPUS:-8}
GPUS_PER_NODE=${GPUS_PER_NODE:-8}
CPUS_PER_TASK=${CPUS_PER_TASK:-5}
read -r -a SRUN_ARGS <<< "${SRUN_ARGS:-}"
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH}

exec srun --partition "$PARTITION" --job-name "$JOB_NAME" --gres "gpu:$GPUS_PER_NODE" \
    --ntasks "$GPUS" --ntasks-per-node "$GPUS_PER_NODE" --cpus-per-task "$CPUS_PER_TASK" \
    --kill-on-bad-exit 1 "${SRUN_ARGS[@]}" \
    "$PYTHON" "$ROOT/tools/test.py" "$@" --launcher slurm
