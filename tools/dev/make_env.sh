#!/usr/bin/env bash
# Builds .venv in this checkout from requirements/lock.txt, section by section. `make env` calls it.
#
# Safe to interrupt and to repeat: every step looks at what is installed and whole already, and the stamp is written
# last. When nothing changed since the stamp, it ends at once.
#   PYTHON    interpreter to build with (python3.11)
#   MAX_JOBS  parallel compilers of the mmcv build (all cores)
set -euo pipefail

PYTHON=${PYTHON:-python3.11}
REPO=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$REPO"
VENV=$REPO/.venv
STAMP=$VENV/.lavida_mm_env
LOGS=$VENV/logs
APT_LINE='sudo apt-get install -y python3.11-venv python3.11-dev g++ make git libgl1 libglib2.0-0'

fail() { # fail CODE MESSAGE
    echo "error: $2" >&2
    exit "$1"
}

# ---------------------------------------------------------------------------------------------- what must be there
missing=()
command -v "$PYTHON" > /dev/null 2>&1 || missing+=("$PYTHON")
for tool in g++ make git; do
    command -v "$tool" > /dev/null 2>&1 || missing+=("$tool")
done
PYTHON_VERSION=
if command -v "$PYTHON" > /dev/null 2>&1; then
    # One start of the interpreter answers all: its version, the venv module, the C headers, the libraries.
    probe=$("$PYTHON" - <<'PY' 2> /dev/null || true
import ctypes, importlib.util, os, sys, sysconfig
print('.'.join(map(str, sys.version_info[:3])))
if not (importlib.util.find_spec('venv') and importlib.util.find_spec('ensurepip')):
    print('the venv module')
if not os.path.exists(os.path.join(sysconfig.get_path('include'), 'Python.h')):
    print('the Python headers (Python.h)')
for library in ('libGL.so.1', 'libgthread-2.0.so.0'):  # OpenCV loads them
    try:
        ctypes.CDLL(library)
    except OSError:
        print(library)
PY
    )
    PYTHON_VERSION=$(head -n 1 <<< "$probe")
    while IFS= read -r line; do [ -n "$line" ] && missing+=("$line"); done < <(tail -n +2 <<< "$probe")
    case $PYTHON_VERSION in
        3.11.*) ;;
        *) fail 2 "PYTHON=$PYTHON is Python ${PYTHON_VERSION:-unknown}; the locked versions are for Python 3.11" ;;
    esac
fi
if [ ${#missing[@]} -gt 0 ]; then
    list=$(printf '%s, ' "${missing[@]}")
    echo "error: missing: ${list%, }. On Debian 12:" >&2
    echo "  $APT_LINE" >&2
    exit 2
fi

# ------------------------------------------------------------------------------------------------ nothing changed?
KEY=$( (cat requirements/lock.txt setup.py pyproject.toml "${BASH_SOURCE[0]}" tools/dev/check_env.py \
    && echo "$PYTHON_VERSION $REPO") | sha256sum | cut -d ' ' -f 1)
up_to_date() { [ -x "$VENV/bin/python" ] && [ -f "$STAMP" ] && [ "$(cat "$STAMP")" = "$KEY" ]; }
if up_to_date; then
    echo ".venv is up to date"
    exit 0
fi

# Two builds in one folder would spoil each other; a build that outlived its `make` is waited for, too.
exec 9> "$REPO/.venv.lock"
if ! flock --nonblock 9; then
    echo "another 'make env' is at work in this checkout; waiting for it to end ..."
    flock 9
fi
if up_to_date; then
    echo ".venv is up to date"
    exit 0
fi

# --------------------------------------------------------------------------------------------------------- helpers
child=
stop() {
    trap - INT TERM
    if [ -n "$child" ]; then kill -TERM -- "-$child" 2> /dev/null || true; fi
    echo
    echo "interrupted; run 'make env' again to go on from here" >&2
    exit 130
}
trap stop INT TERM

minutes() { printf '%d min %02d s' $(($1 / 60)) $(($1 % 60)); }

# quietly NAME COMMAND...: runs the command with its output in a log, and shows a sign of life every 15 s.
quietly() {
    local name=$1 log start next rc=0
    shift
    mkdir -p "$LOGS"
    log=$LOGS/$name.log
    start=$SECONDS
    next=15
    setsid "$@" > "$log" 2>&1 < /dev/null &
    child=$!
    while kill -0 "$child" 2> /dev/null; do
        sleep 0.2 &
        wait $! 2> /dev/null || true
        if [ $((SECONDS - start)) -ge "$next" ]; then
            echo "      ... $(minutes $((SECONDS - start)))  (log: ${log#"$REPO"/})"
            next=$((next + 15))
        fi
    done
    wait "$child" || rc=$?
    child=
    if [ "$rc" -ne 0 ]; then
        echo "      failed after $(minutes $((SECONDS - start))); the end of ${log#"$REPO"/}:" >&2
        tail -n 25 "$log" >&2
        fail 1 "$name failed (exit code $rc). Cure what the log names, then run 'make env' again: it goes on from here"
    fi
    echo "      done in $(minutes $((SECONDS - start)))"
}

# install NAME REQUIREMENT...: installs what is not there yet or not whole. The lock names every package with its
# exact version, so pip has nothing to resolve.
install() {
    local name=$1 wanted
    shift
    mapfile -t wanted < <("$VENV/bin/python" tools/dev/check_env.py --repair "$@")
    if [ ${#wanted[@]} -eq 0 ]; then
        echo "      already there"
        return
    fi
    echo "      ${#wanted[@]} of $# packages to install"
    quietly "$name" "$VENV/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off \
        --no-deps --no-build-isolation "${wanted[@]}"
}

# section NAME: the pins that stand under "# [NAME]" in the lock.
section() { awk -v name="# [$1]" '/^# \[/ { on = ($0 == name); next } on && /==/ { print $1 }' requirements/lock.txt; }

# ------------------------------------------------------------------------------------------------------- the steps
started=$SECONDS
if [ -e "$VENV" ]; then
    found=$("$VENV/bin/python" -c 'import sys; print(".".join(map(str, sys.version_info[:3])))' 2> /dev/null || true)
    if [ "$found" != "$PYTHON_VERSION" ]; then
        echo ".venv holds Python ${found:-that does not start}, $PYTHON_VERSION is wanted: building it anew"
        rm -rf "$VENV"
    fi
fi
rm -f "$STAMP"
if ! "$VENV/bin/python" -m pip --version > /dev/null 2>&1; then
    echo "      creating .venv with Python $PYTHON_VERSION"
    "$PYTHON" -m venv "$VENV" || fail 1 "$PYTHON -m venv $VENV failed"
fi
export PATH=$VENV/bin:$PATH # ninja of .venv compiles mmcv

for name in build torch mmcv rest; do
    mapfile -t "${name}_pins" < <(section "$name")
done

echo "[1/5] build tools (pip, setuptools, wheel, ninja, psutil)"
install build "${build_pins[@]}"

echo "[2/5] torch and torchvision (about 3 GB to download the first time, 4.7 GB on disk)"
install torch "${torch_pins[@]}"

echo "[3/5] mmcv, built from source: about 10 to 20 minutes on two cores, once; pip's cache serves the next environment"
export MMCV_WITH_OPS=1 FORCE_CUDA=0 CUDA_VISIBLE_DEVICES='' MAX_JOBS="${MAX_JOBS:-$(nproc)}"
install mmcv "${mmcv_pins[@]}"
# mmcv itself does not import before step 4 has brought its dependencies: only its compiled part is loaded here.
if ! "$VENV/bin/python" tools/dev/check_mmcv_ext.py > "$LOGS/mmcv_ext.log" 2>&1; then
    echo "      the cached build does not load beside this torch: compiling it anew"
    quietly mmcv "$VENV/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off \
        --no-deps --no-build-isolation --no-cache-dir --force-reinstall "${mmcv_pins[@]}"
fi

echo "[4/5] everything else in requirements/lock.txt"
install rest "${rest_pins[@]}"

echo "[5/5] lavida_mm itself, editable"
quietly lavida_mm "$VENV/bin/python" -m pip install --no-input --disable-pip-version-check --progress-bar off \
    --no-deps --no-build-isolation --editable "$REPO"
"$VENV/bin/python" -c 'import lavida_mm, torch, torchvision, mmcv.ops, mmdet' > "$LOGS/import.log" 2>&1 \
    || { tail -n 5 "$LOGS/import.log" >&2; fail 1 "the new environment does not import (log: .venv/logs/import.log)"; }

echo "$KEY" > "$STAMP.tmp"
mv "$STAMP.tmp" "$STAMP"
echo ".venv is ready ($(minutes $((SECONDS - started))))"
