#!/bin/sh
# Make or refresh the virtual environment with the named extras: venv.sh onnx,lab. It says what it installs and how far it
# is; each failure is one sentence.
set -u
python=${PYTHON:-python3}
venv=${VENV:-.venv}
extras=$1
packages=125  # about, for the dashboard
log=${TMPDIR:-/tmp}/workbench-install.$$.log
trap 'rm -f "$log" "$log.status"' EXIT

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

# Run pip, and print what it looks for, downloads and unpacks: on one line of a terminal, else every tenth package. Modules
# are compiled when they are used first, which saves 400 MB of those that never are; those of the tests at once, because a
# warning of the compiler would be an error there.
pip_install() {
    {
        "$venv/bin/python" -m pip install --retries 2 --timeout 20 --disable-pip-version-check --progress-bar off \
            --no-compile --constraint constraints.txt "$@" 2>&1
        echo $? >"$log.status"
    } | follow
    return "$(cat "$log.status")"
}

follow() {
    count=0
    while IFS= read -r line; do
        printf '%s\n' "$line" >>"$log"
        case $line in
            "Collecting "*)
                count=$((count + 1)) name=${line#Collecting }
                if [ -t 1 ] || [ $((count % 10)) = 0 ]; then
                    say "package $count of about $((count > packages ? count : packages)): ${name%%[!A-Za-z0-9._-]*}"
                fi
                ;;
            "  Downloading "*" MB)")
                size=${line##*\(} name=${line#  Downloading }
                if [ "${size%%.*}" -ge 20 ]; then say "downloading ${name%%-*}, ${size%)}"; fi
                ;;
            "Installing collected packages: "*) say "unpacking $(echo "${line#*: }" | wc -w) packages" ;;
        esac
    done
    if [ -t 1 ]; then printf '\r\033[K'; fi
}

say() {
    if [ -t 1 ]; then printf '\r\033[K  %s' "$1"; else echo "  $1"; fi
}

case ,$extras, in
    *,dev,*) echo "Installing the packages into $venv: about 2.2 GB, one to five minutes the first time." ;;
    *) echo "Installing the packages into $venv: about 1.6 GB, one to five minutes the first time." ;;
esac
: >"$log"
case ,$extras, in *,dev,* | *,mobile,*) mobile=declared ;; *) mobile=needed extras=$extras,mobile-needs ;; esac
# compat: the folder goes on the path, so that a folder called like the package beside a user's script does not hide it.
if ! pip_install --config-settings editable_mode=compat --editable ".[$extras]"; then
    cp "$log" "$venv/install.log"
    if grep -qE 'from versions: none|NewConnectionError|NameResolutionError|Temporary failure|ProxyError|Connection refused|ConnectTimeout|Network is unreachable|ReadTimeout' "$log"; then
        echo "The package index cannot be reached: check the network or the proxy, then run the command again (details: $venv/install.log)." >&2
    else
        echo "pip could not install the packages: $(grep -m 1 '^ERROR' "$log" || tail -n 1 "$log") (details: $venv/install.log)." >&2
    fi
    exit 1
fi
# ExecuTorch for phones, without what it declares and the workbench does not import (pandas, Core ML's tools, tokenizers).
if [ $mobile = needed ] && ! pip_install --no-deps executorch torchao; then
    echo "  ExecuTorch has no package for this machine: files for phones (.pte) cannot be made here."
fi
say "compiling what the first page imports"
case ,$extras, in *,dev,*) "$venv/bin/python" -m compileall -q -j 0 "$venv/lib" >/dev/null 2>&1 ;; esac
PYTHONDONTWRITEBYTECODE='' "$venv/bin/python" -c 'import workbench.app.dashboard, workbench.app.server.voila' >"$log" 2>&1
status=$?
if [ -t 1 ]; then printf '\r\033[K'; fi
if [ $status != 0 ]; then
    cp "$log" "$venv/install.log"
    echo "The packages are installed, but the dashboard does not start: $(tail -n 1 "$log") (details: $venv/install.log)." >&2
    exit 1
fi
echo "Ready."
