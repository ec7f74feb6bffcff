#!/usr/bin/env bash
# tools/dist_test.sh CONFIG CHECKPOINT GPUS [options of tools/test.py]
# Starts GPUS processes on this machine; without GPUs they run on the CPU and talk by gloo.
#   PORT             port of the first process (a free one)
#   NNODES NODE_RANK MASTER_ADDR   for several machines; PORT must then be given
#   OMP_NUM_THREADS  threads of each process (1)
set -euo pipefail

if [ $# -lt 3 ]; then
    echo "usage: $0 CONFIG CHECKPOINT GPUS [options of tools/test.py]" >&2
    exit 2
fi
FILES=("$1" "$2")
GPUS=$3
shift 3
if ! [[ $GPUS =~ ^[1-9][0-9]*$ ]]; then
    echo "error: GPUS must be a whole number of at least 1, got $GPUS" >&2
    exit 2
fi

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
PYTHON=${PYTHON:-python}
if [ -x "$ROOT/.venv/bin/python" ]; then PYTHON=$ROOT/.venv/bin/python; fi
NNODES=${NNODES:-1}
if [ "$NNODES" -gt 1 ] && [ -z "${PORT:-}" ]; then
    echo 'error: PORT must be given where NNODES is more than 1' >&2
    exit 2
fi
PORT=${PORT:-$("$PYTHON" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')}
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
export PYTHONPATH=$ROOT${PYTHONPATH:+:$PYTHONPATH}

exec "$PYTHON" -m torch.distributed.run \
    --nnodes "$NNODES" --node-rank "${NODE_RANK:-0}" --nproc-per-node "$GPUS" \
    --master-addr "${MASTER_ADDR:-127.0.0.1}" --master-port "$PORT" \
    "$ROOT/tools/test.py" "${FILES[@]}" --launcher pytorch "$@"
