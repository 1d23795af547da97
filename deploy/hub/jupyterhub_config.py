"""JupyterHub on one machine: a dashboard for each user of the Unix group `workbench`; see docs/operators.md.

A configuration of your own begins with ``load_subconfig("deploy/hub/jupyterhub_config.py")``, then replaces settings.
"""

import sys

c = get_config()  # noqa: F821 - defined by JupyterHub

c.JupyterHub.bind_url = "http://127.0.0.1:8000"  # a proxy with TLS stands before it
c.LocalAuthenticator.allowed_groups = {"workbench"}  # users log in with the password of their Unix account

# Each user's server is the dashboard, under the user's own account.
c.Spawner.cmd = [sys.executable, "-m", "workbench.app.server.hub"]
c.Spawner.http_timeout = 120  # seconds until a server answers
# Folders that users share and only read (data sets, torchvision's weights), names of the hub, a cluster for sweeps.
shared = ["WORKBENCH_DATASETS", "TORCH_HOME", "WORKBENCH_HOSTS", "WORKBENCH_DASK_SCHEDULER"]
c.Spawner.env_keep = ["PATH", "LANG", "PYTHONPATH", *shared]

# Limits of each user. Spawners for systemd, Docker and Kubernetes enforce the first two; the others always apply.
c.Spawner.mem_limit = "8G"
c.Spawner.cpu_limit = 2.0
c.Spawner.environment = {"WORKBENCH_MEMORY_MIB": "8192", "WORKBENCH_THREADS": "1", "WORKBENCH_UPLOAD_MIB": "256"}
c.JupyterHub.active_server_limit = 40
c.JupyterHub.concurrent_spawn_limit = 5

# A server that is idle for an hour ends; the user's runs stay.
culler = [sys.executable, "-m", "jupyterhub_idle_culler", "--timeout=3600", "--cull-every=300"]
c.JupyterHub.services = [{"name": "idle-culler", "command": culler}]
scopes = ["list:users", "read:users:activity", "read:servers", "delete:servers"]
c.JupyterHub.load_roles = [{"name": "idle-culler", "services": ["idle-culler"], "scopes": scopes}]
