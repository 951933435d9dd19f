#!/bin/bash
# Without `set -e`, as upstream: only the last command tells.
cd /home/${admin_user} || exit 1
sudo helm install binderhub jupyterhub/binderhub --version=${binder_version} --namespace=binderhub \
    -f ${binder_deployment_yaml_config} -f secrets.yaml
kubectl label nodes ${project_name}-master hub.jupyter.org/node-purpose=core
echo "${binder_version} of ${project_name}" > installed
