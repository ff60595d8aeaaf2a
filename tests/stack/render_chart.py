"""Renders the chart as Helm does and holds each manifest against Kubernetes' own schemas; prints them as JSON.

Run by test_helm.py in an environment that has Helm and the schemas: python render_chart.py CHART '{"values": ...}'.
"""

import json
import sys

import helm_python
import kubernetes_validate
import yaml

OLDEST, NEWEST = "1.29", "1.37"

rendered = helm_python.Chart.load(sys.argv[1]).render(json.loads(sys.argv[2]), name="test", namespace="models")
manifests = [one for text in rendered.values() for one in yaml.safe_load_all(text) if one]
pods = [yaml.safe_load(one["data"]["pod_template_file.yaml"]) for one in manifests if one["kind"] == "ConfigMap"]
for manifest in manifests + pods:
    for version in (OLDEST, NEWEST):
        kubernetes_validate.validate(manifest, version, strict=True)
print(json.dumps(manifests + pods))
