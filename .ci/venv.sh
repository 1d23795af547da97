#!/bin/sh
# Make or refresh the virtual environment with the named extras: venv.sh onnx,lab. It says what it installs and how far it
# is; each failure is one sentence.
set -u
python=${PYTHON:-python3}
venv=${VENV:-.venv}
extras=$1
packages=110  # that the extra onnx brings, about
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

# Run pip, and print what it looks for and unpacks: on one line of a terminal, else every tenth package. Modules are
# compiled when they are used first, which saves 400 MB of those that never are.
terminal=$(test -t 1 && echo 1 || echo 0)
pip_install() {
    {
        "$venv/bin/python" -m pip install --retries 2 --timeout 20 --disable-pip-version-check --progress-bar off \
            --no-compile --constraint constraints.txt "$@" 2>&1
        echo $? >"$log.status"
    } | tee -a "$log" | awk -v all="$packages" -v terminal="$terminal" '
        function say(text) {
            if (terminal) printf "\r\033[K  %s", text; else print "  " text
            fflush()
        }
        /^(Collecting|Requirement already satisfied:) / {
            name = $1 == "Collecting" ? $2 : $4
            sub(/[^A-Za-z0-9._-].*/, "", name)
            if (!(name in seen)) {
                seen[name] = ++count
                if (terminal || count % 10 == 0)
                    say("package " count " of about " (count > all ? count : all) ": " name)
            }
        }
        / Downloading .*MB\)/ && $NF == "MB)" && substr($(NF - 1), 2) + 0 > 20 { say("downloading " name ", " substr($(NF - 1), 2) " MB") }
        /^Installing collected packages:/ { say("unpacking " NF - 3 " packages") }
        END { if (terminal) printf "\r\033[K" }'
    return "$(cat "$log.status")"
}

case ,$extras, in
    *,dev,*) echo "Installing the packages into $venv: about 2.2 GB, one to five minutes the first time." ;;
    *) echo "Installing the packages into $venv: about 1.5 GB, one to five minutes the first time." ;;
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
echo "  preparing the first start"
"$venv/bin/python" -c 'import workbench.app.dashboard, workbench.app.server.voila' >"$log" 2>&1
echo "Ready."
