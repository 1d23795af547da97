#!/bin/sh
# Make or refresh the virtual environment with the named extras: venv.sh onnx,mobile. Each failure is one sentence.
set -u
python=${PYTHON:-python3}
venv=${VENV:-.venv}
extras=$1
log=${TMPDIR:-/tmp}/workbench-install.$$.log
trap 'rm -f "$log"' EXIT

if ! command -v "$python" >/dev/null 2>&1; then
    echo "There is no $python here: install Python 3.11 or newer, or name yours: make venv PYTHON=/path/to/python3." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    echo "Python $version is too old, the workbench needs 3.11 or newer: make venv PYTHON=/path/to/a/newer/python3." >&2
    exit 1
fi
if ! [ -x "$venv/bin/python" ] && ! "$python" -m venv "$venv" >"$log" 2>&1; then
    echo "Python could not make $venv: $(tail -n 1 "$log") (on Debian and Ubuntu: apt install python3-venv)." >&2
    exit 1
fi
echo "Installing the packages into $venv: about 2.4 GB, one to five minutes the first time, no output until the end ..."
# compat: the folder goes on the path, so that a folder called like the package beside a user's script does not hide it.
if ! "$venv/bin/python" -m pip install --retries 2 --timeout 20 --disable-pip-version-check \
    --constraint constraints.txt --config-settings editable_mode=compat --editable ".[$extras]" >"$log" 2>&1; then
    cp "$log" "$venv/install.log"
    if grep -qE 'from versions: none|NewConnectionError|NameResolutionError|Temporary failure|ProxyError|Connection refused|ConnectTimeout|Network is unreachable|ReadTimeout' "$log"; then
        echo "The package index cannot be reached: check the network or the proxy, then run the command again (details: $venv/install.log)." >&2
    else
        echo "pip could not install the packages: $(grep -m 1 '^ERROR' "$log" || tail -n 1 "$log") (details: $venv/install.log)." >&2
    fi
    exit 1
fi
echo "Ready."
