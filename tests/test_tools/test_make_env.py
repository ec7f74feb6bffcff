"""make_env.sh with stand-ins for the interpreter and pip, and check_env.py on made-up installations."""

import base64
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

# Stands in for the interpreter of .venv: notes its arguments, and fails to install what is named in the file `broken`.
VENV_PYTHON = """\
#!/bin/bash
case "$*" in
    *version_info*) exec {python} "$@" ;;
    tools/dev/check_env.py*) printf '%s\\n' "${{@:3}}" ;;
    *'pip install'*)
        echo "$*" >> {root}/calls
        if [ -e {root}/slow ]; then echo $$ > {root}/pid; exec sleep 60; fi
        if [ -s {root}/broken ] && grep -qF "$(cat {root}/broken)" <<< "$*"; then echo 'no such wheel'; exit 3; fi ;;
esac
"""
# Stands in for python3.11: the real one, but `-m venv` makes a folder with the stand-in above.
SYSTEM_PYTHON = """\
#!/bin/bash
if [ "$1 $2" = '-m venv' ]; then
    mkdir -p "$3/bin" && cp {root}/venv_python "$3/bin/python"
else
    exec {python} "$@"
fi
"""


@pytest.fixture
def checkout(tmp_path):
    """A checkout with the scripts and a short lock."""
    root = tmp_path / 'checkout'
    (root / 'tools').mkdir(parents=True)
    shutil.copytree(ROOT / 'tools' / 'dev', root / 'tools' / 'dev')
    (root / 'requirements').mkdir()
    lock = '# [build]\npip==1\n\n# [torch]\ntorch==2\n\n# [mmcv]\nmmcv==2.1.0\n\n# [rest]\nsix==1\nzipp==3\n'
    (root / 'requirements' / 'lock.txt').write_text(lock)
    for name in ('setup.py', 'pyproject.toml'):
        shutil.copy(ROOT / name, root / name)
    for name, text in (('venv_python', VENV_PYTHON), ('system_python', SYSTEM_PYTHON)):
        (root / name).write_text(text.format(python=sys.executable, root=root))
        (root / name).chmod(0o755)
    return root


def make_env(root: Path, **environment) -> subprocess.CompletedProcess:
    environment = {**os.environ, 'PYTHON': str(root / 'system_python'), **environment}
    command = ['/bin/bash', str(root / 'tools' / 'dev' / 'make_env.sh')]
    return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=120)


def calls(root: Path) -> list[str]:
    path = root / 'calls'
    return path.read_text().splitlines() if path.exists() else []


def test_builds_in_order_and_is_a_no_op_afterwards(checkout):
    done = make_env(checkout)
    assert done.returncode == 0, done.stderr
    assert [f'[{number}/5]' in done.stdout for number in range(1, 6)] == [True] * 5
    installed = [call.split('--no-build-isolation')[1].split() for call in calls(checkout)]
    assert installed[:4] == [['pip==1'], ['torch==2'], ['mmcv==2.1.0'], ['six==1', 'zipp==3']]
    assert installed[4:] == [['--editable', str(checkout)]]

    again = make_env(checkout)
    assert (again.returncode, again.stdout) == (0, '.venv is up to date\n')
    assert len(calls(checkout)) == 5


def test_a_changed_lock_builds_again(checkout):
    assert make_env(checkout).returncode == 0
    lock = checkout / 'requirements' / 'lock.txt'
    lock.write_text(lock.read_text().replace('zipp==3', 'zipp==4'))
    assert make_env(checkout).returncode == 0
    assert any('zipp==4' in call for call in calls(checkout)[5:])


def test_a_step_that_fails_leaves_no_stamp_and_is_repeated(checkout):
    (checkout / 'broken').write_text('mmcv==2.1.0')
    failed = make_env(checkout)
    assert failed.returncode == 1
    assert 'no such wheel' in failed.stderr
    assert 'error: mmcv failed (exit code 3)' in failed.stderr
    assert not any('six==1' in call for call in calls(checkout))
    (checkout / 'broken').unlink()
    assert make_env(checkout).returncode == 0
    assert any('six==1' in call for call in calls(checkout))


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_build_stops_what_it_started_and_goes_on_later(checkout, number):
    (checkout / 'slow').touch()
    command = ['/bin/bash', str(checkout / 'tools' / 'dev' / 'make_env.sh')]
    environment = {**os.environ, 'PYTHON': str(checkout / 'system_python')}
    with subprocess.Popen(command, cwd=checkout, env=environment, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while not (checkout / 'pid').exists() and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "run 'make env' again to go on from here" in err
    pip = int((checkout / 'pid').read_text())
    deadline = time.monotonic() + 10
    while Path(f'/proc/{pip}').exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(f'/proc/{pip}').exists()

    (checkout / 'slow').unlink()
    assert make_env(checkout).returncode == 0


def test_a_venv_of_another_python_is_replaced(checkout):
    old = checkout / '.venv' / 'bin'
    old.mkdir(parents=True)
    (old / 'python').write_text('#!/bin/bash\necho 3.9.2\n')
    (old / 'python').chmod(0o755)
    done = make_env(checkout)
    assert done.returncode == 0
    assert '.venv holds Python 3.9.2' in done.stdout
    assert (old / 'python').read_text() == (checkout / 'venv_python').read_text()


def test_missing_tools_are_named_with_the_line_that_brings_them(checkout, tmp_path):
    few = tmp_path / 'few'
    few.mkdir()
    for tool in ('dirname', 'git', 'head', 'tail'):
        (few / tool).symlink_to(shutil.which(tool))
    done = make_env(checkout, PATH=str(few))
    assert done.returncode == 2
    first, second = done.stderr.splitlines()
    assert first == 'error: missing: g++, make. On Debian 12:'
    assert second.split()[:4] == ['sudo', 'apt-get', 'install', '-y']
    assert not (checkout / '.venv').exists()


def test_a_missing_interpreter_is_a_usage_error(checkout):
    done = make_env(checkout, PYTHON='python3.11-that-is-not-there')
    assert done.returncode == 2
    assert 'error: missing: python3.11-that-is-not-there' in done.stderr


def test_another_version_of_python_is_a_usage_error(checkout):
    (checkout / 'system_python').write_text('#!/bin/bash\necho 3.9.2\n')
    done = make_env(checkout)
    assert done.returncode == 2
    assert done.stderr.strip().endswith('is Python 3.9.2; the locked versions are for Python 3.11')


def install_package(site: Path, name: str, version: str = '1.0') -> Path:
    """Write a package with its metadata as pip does; returns its only module."""
    module = site / f'{name}.py'
    module.write_text('value = 1\n')
    digest = base64.urlsafe_b64encode(hashlib.sha256(module.read_bytes()).digest()).rstrip(b'=').decode()
    info = site / f'{name}-{version}.dist-info'
    info.mkdir()
    (info / 'METADATA').write_text(f'Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n')
    record = f'{name}.py,sha256={digest},{module.stat().st_size}\n{info.name}/METADATA,,\n{info.name}/RECORD,,\n'
    (info / 'RECORD').write_text(record)
    return module


def check_env(site: Path, *arguments: str) -> list[str]:
    command = [sys.executable, str(ROOT / 'tools' / 'dev' / 'check_env.py'), *arguments]
    environment = {**os.environ, 'PYTHONPATH': str(site)}
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout.split()


def test_check_env_names_what_is_absent_or_not_whole(tmp_path):
    install_package(tmp_path, 'pkg_whole')
    install_package(tmp_path, 'pkg_old', '0.9')
    install_package(tmp_path, 'pkg_cut').write_text('val')
    install_package(tmp_path, 'pkg_lost').unlink()
    install_package(tmp_path, 'pkg_unrecorded')
    (tmp_path / 'pkg_unrecorded-1.0.dist-info' / 'RECORD').unlink()
    pins = [f'{name}==1.0' for name in ('pkg-whole', 'pkg_old', 'pkg_cut', 'pkg_lost', 'pkg_unrecorded', 'pkg_absent')]
    before = sorted(tmp_path.rglob('*'))
    assert check_env(tmp_path, *pins) == pins[1:]
    assert [path for path in sorted(tmp_path.rglob('*')) if '__pycache__' not in path.parts] == before


def test_check_env_repair_lets_pip_install_again_what_is_not_whole(tmp_path):
    install_package(tmp_path, 'pkg_whole')
    install_package(tmp_path, 'pkg_cut').write_text('val')
    assert check_env(tmp_path, '--repair', 'pkg_whole==1.0', 'pkg_cut==1.0') == ['pkg_cut==1.0']
    assert (tmp_path / 'pkg_whole-1.0.dist-info').is_dir()
    assert not (tmp_path / 'pkg_cut-1.0.dist-info').exists()
